"""structlog: readable on a terminal, JSON otherwise. CR and LF in values are escaped by both."""

import logging
import os
import select
import sys
from collections.abc import Collection
from itertools import islice
from typing import Any, ClassVar

import structlog

MOST_LISTED = 100


def batch_fields(deliveries: Collection[int]) -> dict[str, Any]:
    """Return a batch as fields of an event: the number of deliveries, and the first MOST_LISTED ids."""
    return {"number": len(deliveries), "deliveries": list(islice(deliveries, MOST_LISTED))}


class LogStream:
    """Writes never raise and never block for long, lost lines are counted: a closed pipe, a full disk or a
    stuck reader must not stop a heartbeat or a delivery.
    """

    failures: ClassVar[int] = 0  # lines lost by this process

    _TIMEOUT = 50  # milliseconds that a line may wait for a slow reader; 0 while the reader is stuck
    _CHUNK = select.PIPE_BUF  # bytes that do not block a pipe which poll(2) calls writable

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._wait = self._TIMEOUT

    def write(self, text: str) -> int:
        line = text.encode(errors="backslashreplace")
        try:
            while line:
                if not self._poll.poll(self._wait):
                    raise BlockingIOError
                line = line[os.write(self._descriptor, line[: self._CHUNK]) :]
            self._wait = self._TIMEOUT
        except OSError:
            self._wait = 0
            LogStream.failures += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""


def configure_logging() -> None:
    descriptor = sys.stderr.fileno() if sys.stderr else os.open(os.devnull, os.O_WRONLY)
    stream: Any = LogStream(descriptor)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if os.isatty(descriptor)
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
    stderr = logging.StreamHandler(stream)
    stderr.setFormatter(formatter)
    logging.raiseExceptions = False  # or a line that cannot be formatted is written to sys.stderr without LogStream
    logging.getLogger("uvicorn.access").disabled = True  # it writes paths, which hold tokens
    root = logging.getLogger()
    root.handlers = [stderr]
    root.setLevel(logging.WARNING)
