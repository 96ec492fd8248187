"""Errors that a long-lived loop survives: counted for /metrics, and logged once until the loop works again."""

from collections import Counter
from types import TracebackType

import structlog

from app.store.database import is_unavailable

log = structlog.get_logger()
survived: Counter[str] = Counter()
"""How many errors this process has survived, by loop."""


class LoopErrors:
    """A context manager around one round of a loop; it lets no Exception out."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._cause = ""
        self._failures = 0
        survived[loop] += 0  # /metrics shows a loop without failures, too

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.add(error)
            return True
        if error is None and self._cause:
            log.info("works again", loop=self._loop, failures=self._failures)
            self._cause, self._failures = "", 0
        return False

    def add(self, error: Exception) -> None:
        """Count a failure, and log it unless the round before failed in the same way."""
        survived[self._loop] += 1
        self._failures += 1
        name = type(error).__name__
        unavailable = is_unavailable(error)
        cause = "database unavailable, retrying" if unavailable else name
        if cause == self._cause:
            return
        self._cause = cause
        if unavailable:
            log.warning(cause, loop=self._loop, error=name)
        else:
            log.error("unexpected error, retrying", loop=self._loop, exc_info=error)
