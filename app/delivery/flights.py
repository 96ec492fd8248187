"""The deliveries in flight of this process, side by side, one seat each."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()
_LAST_WORDS = 5.0
"""Seconds for one that is called back to put its end on record."""

Board = Callable[[], Coroutine[Any, Any, None] | None]
"""Gives the next flight to whoever has a free seat, or None where nothing may leave now."""


class Flights:
    """So many seats. Whoever lands boards the next flight by itself, as long as there is one."""

    def __init__(self, seats: int) -> None:
        self.seats = seats
        self._flying: set[asyncio.Task[None]] = set()

    @property
    def aloft(self) -> int:
        return len(self._flying)

    @property
    def free(self) -> int:
        return self.seats - self.aloft

    def fill(self, passengers: int, board: Board, landed: Callable[[], object]) -> None:
        """Let so many free seats board; `landed` is called when one is free again and stays empty."""
        for _ in range(min(passengers, self.free)):
            seat = asyncio.create_task(_fly(board))
            self._flying.add(seat)
            seat.add_done_callback(lambda ended: self._leave(ended, landed))

    def _leave(self, seat: asyncio.Task[None], landed: Callable[[], object]) -> None:
        self._flying.discard(seat)
        if not seat.cancelled() and (error := seat.exception()):
            log.error("a flight crashed", exc_info=error)
        landed()

    async def all_landed(self, grace: float | None = None) -> None:
        """Wait until nothing is in flight. After `grace` seconds those still out are called back."""
        if self._flying:
            _, late = await asyncio.wait(self._flying, timeout=grace)
            for seat in late:
                seat.cancel()
            if late:
                await asyncio.wait(late, timeout=_LAST_WORDS)


async def _fly(board: Board) -> None:
    """Fly one after the other: a coroutine of its own for each letter would cost more than composing it."""
    seat = asyncio.current_task()
    while flight := board():
        await flight
        if seat is None or seat.cancelling():  # called back, and its flight has put that on record
            return
