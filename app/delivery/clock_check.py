"""Whether the wall clock can be relied on: days of downtime and a clock that is days ahead look the same."""

from datetime import datetime, timedelta

import structlog

from app.clock import Clock

log = structlog.get_logger()
_TOLERANCE = timedelta(hours=1)
LONGEST_WAIT = 600.0
"""Seconds on the monotonic clock that sending waits for the kernel to say that the clock is synchronised."""


class ClockCheck:
    """Compares the wall clock with the last time that passed, advanced by the monotonic clock.

    A clock far ahead must not send letters early: sending waits. A clock behind sends nothing
    early, so it is only reported.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_time = clock.now()
        self._measured_at = clock.monotonic()
        self._waiting_since: float | None = None
        self._is_behind = False
        self.deviation = timedelta()
        """How far the clock is ahead (or, negative, behind); zero once it has passed."""

    def start(self, last_scan_at: datetime | None) -> None:
        """Compare with the newest time in the ledger; None: there is none to compare with."""
        self._last_time = last_scan_at or self._clock.now()
        self._measured_at = self._clock.monotonic()

    def passes(self) -> bool:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        expected = self._last_time + timedelta(seconds=monotonic - self._measured_at)
        deviation = now - expected
        if deviation < -_TOLERANCE:
            self._report_behind(deviation)
            return True
        if deviation > _TOLERANCE and not self._accepts(deviation, monotonic):
            return False
        if self.deviation:
            log.warning("clock accepted", now=now.isoformat())
        self._last_time, self._measured_at = now, monotonic
        self.deviation, self._waiting_since, self._is_behind = timedelta(), None, False
        return True

    def _accepts(self, deviation: timedelta, monotonic: float) -> bool:
        if self._clock.synchronised():
            log.info("the clock is far ahead of the last scan, and synchronised", by=str(deviation))
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
