"""How many messages may be past their final dot at once: those that a kill leaves uncertain."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from app.clock import Clock

_QUICK, _SLOW = 1.25, 1.6  # times the base time, which a reply takes that waits behind no other
_GRAIN = 0.0002  # seconds, below which a difference is noise
_CREEP = 0.01  # share by which each reply may raise the base time, so that it follows a server that got slower
_FAR = 0.01  # seconds; slower replies vary by themselves, and waiting for them costs more than it saves
_ONE_BY_ONE = 20  # replies at the start, one at a time: they show the base time
_RESTART = 10_000  # replies after which the base time is measured anew: the server may have changed
_STUCK = 1.0  # seconds without a reply; after them, others do not wait for it any more


@dataclass(slots=True, eq=False)
class Slot:
    on_enter: Callable[[], None]
    entered: bool = False
    since: float = 0.0
    round: int = 0


class InFlightWindow:
    """As many as a server takes in parallel: more would only queue there, uncertain.

    It grows while replies take no longer for it and shrinks when they do, as TCP Vegas does
    (Brakmo, Peterson 1995): down to one on a server that takes one at a time. Where even the
    quickest reply is slow it only grows, up to all connections: over long ways, and in the
    filters of large providers, replies vary by more than a queue would add.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self.size = 1.0
        self._entered = 0
        self._round = self._left = 0
        self._base_time = float("inf")
        self._replies = 0
        self._waiting: deque[Slot] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, on_enter: Callable[[], None]) -> Slot:
        """Return a slot, entered already; or waiting, and then `on_enter` is called once it is entered."""
        slot = Slot(on_enter)
        if self._entered >= int(self.size) or self._waiting:
            self._waiting.append(slot)
            if self._timer is None:
                self._start_timer()
        else:
            self._admit(slot)
        return slot

    def answered(self, slot: Slot) -> None:
        """Leave with a reply, and adapt to its time."""
        self._replies += 1
        if self._replies == _RESTART:
            self.size, self._base_time, self._replies = 1.0, float("inf"), 0
        self._learn(self._clock.monotonic() - slot.since)
        self.leave(slot)

    def _learn(self, seconds: float) -> None:
        self._base_time = min(seconds, self._base_time + max(0.0, seconds - self._base_time) * _CREEP)
        if self._replies < _ONE_BY_ONE:
            return
        if self._base_time > _FAR or seconds <= self._base_time * _QUICK + _GRAIN:
            self.size = min(self.size + 1 / self.size, self._most)
        elif seconds > self._base_time * _SLOW + _GRAIN:
            self.size = max(self.size - 2 / self.size, 1.0)  # sooner than it grows

    def leave(self, slot: Slot) -> None:
        """Leave without a reply, or before having entered."""
        if not slot.entered:
            self._waiting.remove(slot)
            return
        self._left += 1
        if slot.round == self._round:
            self._entered -= 1
        self._admit_waiting()

    def _admit(self, slot: Slot) -> None:
        self._entered += 1
        slot.entered, slot.since, slot.round = True, self._clock.monotonic(), self._round

    def _admit_waiting(self) -> None:
        while self._waiting and self._entered < int(self.size):
            slot = self._waiting.popleft()
            self._admit(slot)
            slot.on_enter()

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_STUCK, self._on_timer, self._left)

    def _on_timer(self, left: int) -> None:
        """Stop counting those whose replies do not come: one may be stuck for ten minutes."""
        self._timer = None
        if self._waiting:
            if left == self._left:
                self._round += 1
                self._entered = 0
                self._admit_waiting()
            self._start_timer()
