"""The only place that reads the time.

Everything below takes `now` as an argument or a `Clock` in its constructor, so that a test can
hold the time still or turn it back.
"""

import ctypes
import sys
import time
from datetime import UTC, datetime
from typing import Protocol

_TIMEX = 512  # bytes, more than struct timex has anywhere
_TIME_ERROR = 5


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC. It may jump."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow. Leases are measured with it."""

    def synchronised(self) -> bool | None:
        """Return whether the kernel says that the wall clock is synchronised; None where it does not say."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def synchronised(self) -> bool | None:
        """See adjtimex(2): called with empty modes it changes nothing, and TIME_ERROR means unsynchronised."""
        if not sys.platform.startswith("linux"):
            return None
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX))
        return None if state < 0 else state != _TIME_ERROR
