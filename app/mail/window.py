"""How many letters may wait at once for the answer to their final dot: those whose answer a kill would lose."""

import asyncio
from collections import deque
from collections.abc import Callable

from app.clock import Clock
from app.mail.trials import Trials

_STUCK = 1.0  # seconds without an answer; after them, others do not wait for it any more


class Place:
    """Where one letter stands: `inside`, and in which round, or waiting for its turn."""

    __slots__ = ("go", "inside", "round")

    def __init__(self, go: Callable[[], None]) -> None:
        self.go = go
        self.inside = False
        self.round = 0


class Window:
    """As many as a server takes side by side, and no more: others would only queue there, in doubt."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._trials = Trials(sorted({most >> times for times in range(most.bit_length())} | {1}))
        self._clock = clock
        self._inside = 0
        self._round = self._left = 0
        self._waiting: deque[Place] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        return self._trials.size

    @property
    def whole_letters(self) -> bool:
        """Whether one is to enter with the first command already, where only one may be inside.

        A server that does one thing at a time would read the others' commands and texts while a
        final dot waits for its answer. On a single connection it cannot.
        """
        return self._trials.level == 0 < len(self._trials.sizes) - 1

    def enter(self, go: Callable[[], None]) -> Place:
        """Return a place, which is inside; or is not yet, and then `go` is called once it is."""
        place = Place(go)
        if self._inside >= self.size or self._waiting:
            self._waiting.append(place)
            if self._alarm is None:
                self._watch()
        else:
            self._let(place)
        return place

    def answered(self, place: Place) -> None:
        """Leave, because the answer to the final dot was read, and learn from when that was."""
        self._trials.answered(self._clock.monotonic())
        self.leave(place)

    def leave(self, place: Place) -> None:
        """Leave without an answer, or before one's turn."""
        if not place.inside:
            self._waiting.remove(place)
            return
        self._left += 1
        if place.round == self._round:
            self._inside -= 1
        self._let_in()
        if not self._inside:
            self._trials.interrupted()

    def _let(self, place: Place) -> None:
        self._inside += 1
        place.inside, place.round = True, self._round

    def _let_in(self) -> None:
        while self._waiting and self._inside < self.size:
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
