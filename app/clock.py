"""The only place that reads the time.

Everything below takes `now` as an argument or a `Clock` in its constructor, so that a test can
hold the time still or turn it back.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC. It may jump."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow. Leases are measured with it."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
