"""A circuit breaker for the mail server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from app.clock import Clock

_FIRST_PAUSE = timedelta(seconds=10).total_seconds()
_LONGEST_PAUSE = timedelta(minutes=5).total_seconds()
_MAX_DOUBLINGS = 10


class Breaker:
    """Opens at an outage, for longer each time, and closes at the first reply.

    Once its pause is over, one delivery probes the server before the rest follow.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float]) -> None:
        """`jitter` returns random numbers in [0, 1), so that many hosts do not retry together."""
        self._clock = clock
        self._jitter = jitter
        self._pauses = 0
        self._open_until = 0.0
        self._probing = False
        self.trouble = ""

    @property
    def is_open(self) -> bool:
        return bool(self.trouble) and self._clock.monotonic() < self._open_until

    def allowed(self, free: int) -> int:
        if not self.trouble:
            return free
        return 0 if self.is_open or self._probing else min(free, 1)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Send inside this block. After an outage the first one in is the probe, and the others wait."""
        probes = bool(self.trouble) and not self._probing
        self._probing = self._probing or probes
        try:
            yield
        finally:
            if probes:
                self._probing = False

    def trip(self, trouble: str) -> bool:
        """Open because of `trouble`; True if it was closed before. Failures of one outage count once."""
        if self.is_open:
            return False
        was_closed = not self.trouble
        pause = min(_FIRST_PAUSE * 2**self._pauses, _LONGEST_PAUSE)
        self._open_until = self._clock.monotonic() + pause * (0.75 + self._jitter() / 2)
        self._pauses = min(self._pauses + 1, _MAX_DOUBLINGS)
        self.trouble = trouble
        return was_closed

    def reset(self) -> bool:
        """Close, because the server replied; True if there had been trouble."""
        had_trouble = bool(self.trouble)
        self._pauses, self._open_until, self.trouble = 0, 0.0, ""
        return had_trouble
