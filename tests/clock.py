"""A clock that stands still until it is told to move."""

from datetime import UTC, datetime, timedelta

NEW_YEAR = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)


class FrozenClock:
    """A `Clock` for tests."""

    def __init__(self, start: datetime = NEW_YEAR) -> None:
        self._now = start
        self._monotonic = 1000.0
        self.is_synchronised: bool | None = True
        """What the kernel says of it."""

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def synchronised(self) -> bool | None:
        return self.is_synchronised

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by
        self._monotonic += by.total_seconds()

    def jump(self, by: timedelta) -> None:
        """Set the wall clock, forward or back, as an operator or NTP would; no time passes."""
        self._now += by
