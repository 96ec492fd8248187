"""The deliveries in flight of this process, side by side, one seat each."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Flights:
    """Bounded: a delivery is only claimed when a seat is free for it (see `free`)."""

    def __init__(self, seats: int) -> None:
        self._seats = seats
        self._flying: set[asyncio.Task[Any]] = set()
        self._landed = asyncio.Event()

    @property
    def free(self) -> int:
        return self._seats - len(self._flying)

    def start(self, flight: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(flight)
        self._flying.add(task)
        task.add_done_callback(self._land)

    def _land(self, task: asyncio.Task[Any]) -> None:
        self._flying.discard(task)
        self._landed.set()

    async def next_landing(self) -> None:
        """Wait until one of those in flight has landed; return at once if there is none."""
        if self._flying:
            self._landed.clear()
            await self._landed.wait()

    async def all_landed(self, grace: float | None = None) -> None:
        """Wait until nothing is in flight. After `grace` seconds those still out are called back."""
        if self._flying:
            _, late = await asyncio.wait(self._flying, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
