"""How many messages may be past their final dot at once: those whose answer a kill would lose."""

import asyncio
from collections import deque
from collections.abc import Callable

from app.clock import Clock

_QUICK, _SLOW = 1.25, 1.6  # times what an answer takes that waits behind no other
_GRAIN = 0.0002  # seconds that mean nothing
_CREEP = 0.01  # how far each answer may lift that time, so that a server that got slower is believed
_FAR = 0.01  # seconds; answers that take longer vary by themselves, and waiting for them costs more than doubt
_ONE_BY_ONE = 20  # answers that come first, one at a time: they show how long one takes that waits behind no other
_LOOK_ANEW = 10_000  # answers after which it is learned again from one at a time: the server may be another by now
_STUCK = 1.0  # seconds without an answer; after them, others do not wait for it any more


class Slot:
    """Where one message stands: `inside` since when, and in which round, or waiting for its turn."""

    __slots__ = ("go", "inside", "round", "since")

    def __init__(self, go: Callable[[], None]) -> None:
        self.go = go
        self.inside = False
        self.since = 0.0
        self.round = 0


class InFlightWindow:
    """As many as a server takes side by side, and no more: others would only queue there, in doubt.

    It grows as long as answers take no longer for it and shrinks when they do, as TCP Vegas does
    (Brakmo, Peterson 1995): down to one on a server that takes one at a time. Where even the
    quickest answer comes from far away it only grows, up to all connections: on the way, and in the
    filters of large providers, answers vary by more than a queue would make of them.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self.size = 1.0
        self._inside = 0
        self._round = self._left = 0
        self._undisturbed = float("inf")
        self._answers = 0
        self._waiting: deque[Slot] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    def enter(self, go: Callable[[], None]) -> Slot:
        """Return a place, which is inside; or is not yet, and then `go` is called once it is."""
        place = Slot(go)
        if self._inside >= int(self.size) or self._waiting:
            self._waiting.append(place)
            if self._alarm is None:
                self._watch()
        else:
            self._let(place)
        return place

    def answered(self, place: Slot) -> None:
        """Leave, because the answer was read, and learn from how long that took."""
        self._answers += 1
        if self._answers == _LOOK_ANEW:
            self.size, self._undisturbed, self._answers = 1.0, float("inf"), 0
        self._learn(self._clock.monotonic() - place.since)
        self.leave(place)

    def _learn(self, took: float) -> None:
        self._undisturbed = min(took, self._undisturbed + max(0.0, took - self._undisturbed) * _CREEP)
        if self._answers < _ONE_BY_ONE:
            return
        if self._undisturbed > _FAR or took <= self._undisturbed * _QUICK + _GRAIN:
            self.size = min(self.size + 1 / self.size, self._most)
        elif took > self._undisturbed * _SLOW + _GRAIN:
            self.size = max(self.size - 2 / self.size, 1.0)  # sooner than it grows

    def leave(self, place: Slot) -> None:
        """Leave without an answer, or before one's turn."""
        if not place.inside:
            self._waiting.remove(place)
            return
        self._left += 1
        if place.round == self._round:
            self._inside -= 1
        self._let_in()

    def _let(self, place: Slot) -> None:
        self._inside += 1
        place.inside, place.since, place.round = True, self._clock.monotonic(), self._round

    def _let_in(self) -> None:
        while self._waiting and self._inside < int(self.size):
            place = self._waiting.popleft()
            self._let(place)
            place.go()

    def _watch(self) -> None:
        self._alarm = asyncio.get_running_loop().call_later(_STUCK, self._ring, self._left)

    def _ring(self, left: int) -> None:
        """Count those no more whom the server keeps waiting: one may be stuck for ten minutes."""
        self._alarm = None
        if self._waiting:
            if left == self._left:
                self._round += 1
                self._inside = 0
                self._let_in()
            self._watch()
