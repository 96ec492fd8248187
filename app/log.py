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


def listed(deliveries: Collection[int]) -> dict[str, Any]:
    """Return what a line about several deliveries says of them: how many, and the ids of the first MOST_LISTED."""
    return {"number": len(deliveries), "deliveries": list(islice(deliveries, MOST_LISTED))}


class LogStream:
    """A text stream whose writes never raise and never block for long; lines that are lost are counted.

    A reader that has gone away, a full disk or a full pipe must not stop a heartbeat or a delivery.
    """

    failures: ClassVar[int] = 0
    """Lines that this process could not write."""

    _PATIENCE = 50  # milliseconds that a line may wait for a slow reader; 0 while the reader is stuck
    _CHUNK = select.PIPE_BUF  # bytes that a pipe takes without blocking once poll(2) says that it is writable

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._wait = self._PATIENCE

    def write(self, text: str) -> int:
        line = text.encode(errors="backslashreplace")
        try:
            while line:
                if not self._poll.poll(self._wait):
                    raise BlockingIOError
                line = line[os.write(self._descriptor, line[: self._CHUNK]) :]
            self._wait = self._PATIENCE
        except OSError:
            self._wait = 0
            LogStream.failures += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write goes to the descriptor at once."""


def configure_logging() -> None:
    """Send our own lines, and those of the libraries, to stderr."""
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
    logging.raiseExceptions = False  # or a line that cannot be formatted is written to sys.stderr past our stream
    logging.getLogger("uvicorn.access").disabled = True  # it writes paths, and ours hold tokens
    root = logging.getLogger()
    root.handlers = [stderr]
    root.setLevel(logging.WARNING)
