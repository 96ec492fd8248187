"""Whether the wall clock can be trusted: days of downtime and a clock that is days ahead look the same."""

from datetime import datetime, timedelta

import structlog

from app.clock import Clock

log = structlog.get_logger()
_TOLERANCE = timedelta(hours=1)
LONGEST_WAIT = 600.0
"""Seconds on the monotonic clock that sending waits for the kernel to say that the clock is synchronised."""


class ClockCheck:
    """Compares the wall clock with the last trusted time, carried on by the monotonic clock.

    A clock far ahead of it must not send letters early: sending waits. A clock behind it sends
    nothing early, so it is only reported.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._trusted_at = clock.now()
        self._measured_at = clock.monotonic()
        self._waiting_since: float | None = None
        self._is_behind = False
        self.deviation = timedelta()
        """How far the clock is ahead (or, negative, behind) while that is not settled."""

    def start(self, last_scan_at: datetime | None) -> None:
        """Take the newest sign of life in the ledger; None: an empty ledger says nothing."""
        self._trusted_at = last_scan_at or self._clock.now()
        self._measured_at = self._clock.monotonic()

    def passes(self) -> bool:
        """Return whether deliveries may be claimed by this clock."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        expected = self._trusted_at + timedelta(seconds=monotonic - self._measured_at)
        deviation = now - expected
        if deviation < -_TOLERANCE:
            self._report_behind(deviation)
            return True
        if deviation > _TOLERANCE and not self._accepts(deviation, monotonic):
            return False
        if self.deviation:
            log.warning("the clock is trusted again", now=now.isoformat())
        self._trusted_at, self._measured_at = now, monotonic
        self.deviation, self._waiting_since, self._is_behind = timedelta(), None, False
        return True

    def _accepts(self, deviation: timedelta, monotonic: float) -> bool:
        if self._clock.synchronised():
            log.info("the clock is far ahead of the last scan, and the kernel says that it is right", by=str(deviation))
            return True
        if self._waiting_since is None:
            self._waiting_since = monotonic
            log.warning(
                "the clock is far ahead of the last scan; sending waits until it is synchronised",
                by=str(deviation),
                seconds_at_most=LONGEST_WAIT,
            )
        self.deviation, self._is_behind = deviation, False
        return monotonic - self._waiting_since >= LONGEST_WAIT

    def _report_behind(self, deviation: timedelta) -> None:
        if not self._is_behind:
            log.warning("the clock is behind the last scan; letters may arrive late", by=str(-deviation))
        self.deviation, self._waiting_since, self._is_behind = deviation, None, True
