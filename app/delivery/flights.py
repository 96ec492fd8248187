"""The deliveries in flight of this process, side by side, one seat each."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()
_LAST_WORDS = 5.0
"""Seconds for one that is called back to put its end on record."""


class Flights:
    """Bounded: a delivery is only claimed when a seat is free for it (see `free`)."""

    def __init__(self, seats: int) -> None:
        self._seats = seats
        self._flying: set[asyncio.Task[Any]] = set()

    @property
    def aloft(self) -> int:
        return len(self._flying)

    @property
    def free(self) -> int:
        return self._seats - self.aloft

    def start(self, flight: Coroutine[Any, Any, Any], landed: Callable[[], object]) -> None:
        """Take a seat for a flight; `landed` is called once it is free again."""
        flying = asyncio.create_task(flight)
        self._flying.add(flying)
        flying.add_done_callback(lambda ended: self._land(ended, landed))

    def _land(self, ended: asyncio.Task[Any], landed: Callable[[], object]) -> None:
        self._flying.discard(ended)
        if not ended.cancelled() and (error := ended.exception()):
            log.error("a flight crashed", exc_info=error)
        landed()

    async def all_landed(self, grace: float | None = None) -> None:
        """Wait until nothing is in flight. After `grace` seconds those still out are called back."""
        if self._flying:
            _, late = await asyncio.wait(self._flying, timeout=grace)
            for flying in late:
                flying.cancel()
            if late:
                await asyncio.wait(late, timeout=_LAST_WORDS)
