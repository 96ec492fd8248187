"""How many letters at once bring the most answers a second from a mail server: found by trying."""

from collections.abc import Sequence

_MEASURE = 10  # answers by which a rate is told at least, and two for each who is there at once
_MEASURE_SECONDS = 0.05  # the least time by which it is told
_REST, _LONGEST_REST = 1.0, 60.0  # seconds between two trials: twice as many after each in vain
_WORTH = 1.25  # times the answers a second that more at once have to bring, or they would only queue
_WORTH_OFFERING = 1.6  # the same of offering letters before it is their turn, which saves round trips besides
_FAST = 400  # letters a second, one by one; from there on we are the slower side, and our waiting would cost most


class Trials:
    """Climbs as long as that is worth it, and tries half as many now and then, and twice as many.

    The lowest level offers one letter at a time, from its first command to its last answer; on
    the second it is offered before its turn. How long an answer takes would tell less than how many
    come: on many servers it varies widely although nobody waits for anybody.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self.level = 0
        self._step = 1
        self._before: float | None = None  # the rate of the level one step back, while this one is on trial
        self._answers = 0  # of this measure; below zero before it begins
        self._since = 0.0
        self._rest = _REST
        self._rests_until = 0.0

    @property
    def size(self) -> int:
        return self.sizes[self.level]

    def answered(self, now: float) -> None:
        """Count an answer that came `now`, in seconds."""
        if len(self.sizes) == 1 or now < self._rests_until:
            return
        if self._answers == 0:
            self._since = now
        self._answers += 1
        if self._answers > max(_MEASURE, self.size * 2) and now - self._since >= _MEASURE_SECONDS:
            self._judge((self._answers - 1) / (now - self._since), now)

    def interrupted(self) -> None:
        """Begin to measure anew: for a moment nobody was there, so the server was not the slower side."""
        self._answers = min(self._answers, 0)

    def _judge(self, rate: float, now: float) -> None:
        if self._before is None:
            self._go_on(rate, now)
        elif self._has_won(rate, self._before):
            self._rest = _REST
            self._go_on(rate, now)
        else:
            self.level -= self._step
            self._turn(now)
            self._rest = min(self._rest * 2, _LONGEST_REST)

    def _go_on(self, rate: float, now: float) -> None:
        """Try the next level in this direction, if there is one."""
        level = self.level + self._step
        if 0 <= level < len(self.sizes):
            self._answers = -max(self.sizes if level == 0 else (self.size,))  # these were begun before
            self._before, self.level = rate, level
        else:
            self._turn(now)

    def _turn(self, now: float) -> None:
        self._before, self._answers = None, 0
        self._step = -self._step
        self._rests_until = now + self._rest

    def _has_won(self, rate: float, before: float) -> bool:
        if self._step > 0:
            return _is_worth(self.level, rate, before)
        return not _is_worth(self.level + 1, before, rate)


def _is_worth(level: int, rate: float, below: float) -> bool:
    """Return whether to be on this level rather than on the one below, by their rates."""
    if level == 1:
        return below > _FAST or rate > below * _WORTH_OFFERING
    return rate > below * _WORTH
