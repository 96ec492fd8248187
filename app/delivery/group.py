"""Group commit: what many coroutines want written while one statement runs is written by the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from app.store.database import is_unavailable

T = TypeVar("T")


class Group(Generic[T]):
    """Gathers single writes into statements, in the order they came.

    A round trip and a flushed log for each letter would be the slowest part of sending it. Nobody
    waits longer than for the statement that runs already, and then for their own.
    """

    def __init__(
        self, write: Callable[[Sequence[T]], Awaitable[set[int]]], key: Callable[[T], int], limit: int
    ) -> None:
        """Take what writes a group and returns the keys that were written, and a group's most."""
        self._write = write
        self._key = key
        self._limit = limit
        self._waiting: list[tuple[T, asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def add(self, item: T) -> bool:
        """Have `item` written, and return whether it was. Raises what the statement raised.

        An item whose adder is cancelled is written all the same.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await written

    async def drained(self) -> None:
        """Wait until everything is written."""
        while self._writer:
            await asyncio.wait([self._writer])

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                await self._write_one(group)
        finally:
            self._writer = None

    async def _write_one(self, group: Sequence[tuple[T, asyncio.Future[bool]]]) -> None:
        try:
            keys = await self._write([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - each of them is told
            if len(group) > 1 and not is_unavailable(error):
                for one in group:  # one of them does not fit; the others are not to suffer for it
                    await self._write_one([one])
            else:
                for written in _awaited(group):
                    written.set_exception(error)
            return
        for item, written in group:
            if not written.done():
                written.set_result(self._key(item) in keys)


def _awaited(group: Sequence[tuple[T, asyncio.Future[bool]]]) -> list[asyncio.Future[bool]]:
    """Return those that somebody still waits for."""
    return [written for _, written in group if not written.done()]
