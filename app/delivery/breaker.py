"""Leaves a mail server alone while it cannot be used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from app.clock import Clock

_FIRST_PAUSE = timedelta(seconds=10).total_seconds()
_LONGEST_PAUSE = timedelta(minutes=5).total_seconds()
_MOST_DOUBLINGS = 10


class Breaker:
    """Opens at an outage, for longer each time, and closes at the first sign of life.

    Once its pause is over, one delivery tries the server before the rest follow.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float]) -> None:
        """Take a source of random numbers in [0, 1), so that many hosts do not return together."""
        self._clock = clock
        self._jitter = jitter
        self._pauses = 0
        self._until = 0.0
        self._probing = False
        self.trouble = ""

    @property
    def is_open(self) -> bool:
        return bool(self.trouble) and self._clock.monotonic() < self._until

    def allowed(self, free: int) -> int:
        """Return how many of the free seats may be taken now."""
        if not self.trouble:
            return free
        return 0 if self.is_open or self._probing else min(free, 1)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Send inside this block. After an outage the first one in keeps the others waiting."""
        probes = bool(self.trouble) and not self._probing
        self._probing = self._probing or probes
        try:
            yield
        finally:
            if probes:
                self._probing = False

    def trip(self, trouble: str) -> bool:
        """Open because of `trouble`; True if this was news. Those in flight together count once."""
        if self.is_open:
            return False
        news = not self.trouble
        pause = min(_FIRST_PAUSE * 2**self._pauses, _LONGEST_PAUSE)
        self._until = self._clock.monotonic() + pause * (0.75 + self._jitter() / 2)
        self._pauses = min(self._pauses + 1, _MOST_DOUBLINGS)
        self.trouble = trouble
        return news

    def reset(self) -> bool:
        """Close, because the server answered; True if there had been trouble."""
        had_trouble = bool(self.trouble)
        self._pauses, self._until, self.trouble = 0, 0.0, ""
        return had_trouble
