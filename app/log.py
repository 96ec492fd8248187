"""structlog: readable on a terminal, JSON otherwise. CR and LF in values are escaped by both."""

import logging
import sys
from collections.abc import Collection
from itertools import islice
from typing import Any

import structlog

MOST_LISTED = 100


def listed(deliveries: Collection[int]) -> dict[str, Any]:
    """Return what a line about several deliveries says of them: how many, and the ids of the first MOST_LISTED."""
    return {"number": len(deliveries), "deliveries": list(islice(deliveries, MOST_LISTED))}


def configure_logging() -> None:
    """Send our own lines, and those of the libraries, to stderr."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(formatter)
    logging.getLogger("uvicorn.access").disabled = True  # it writes paths, and ours hold tokens
    root = logging.getLogger()
    root.handlers = [stderr]
    root.setLevel(logging.WARNING)
