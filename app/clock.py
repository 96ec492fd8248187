"""The only module that reads the time; all others take `now` or a `Clock` as an argument, for tests."""

import ctypes
import sys
import time
from datetime import UTC, datetime
from typing import Protocol

_TIMEX = 512  # bytes, more than struct timex has anywhere
_TIME_ERROR = 5


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the wall clock's time in UTC, aware. It may jump."""

    def monotonic(self) -> float: ...

    def synchronised(self) -> bool | None:
        """Return whether the kernel calls the wall clock synchronised; None where it is unknown."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def synchronised(self) -> bool | None:
        """See adjtimex(2): empty modes change nothing, and TIME_ERROR means unsynchronised."""
        if not sys.platform.startswith("linux"):
            return None
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX))
        return None if state < 0 else state != _TIME_ERROR
