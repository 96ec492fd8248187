"""Group commit: what many coroutines want written while one statement runs is written by the next."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from app.mail.envelope import TransportError
from app.store.database import is_unavailable

T = TypeVar("T")


class NotOnRecord(TransportError):
    """Something could not be put on record, so what hangs on it must not be done."""


class Group(Generic[T]):
    """Gathers single writes into statements, in the order they came.

    A round trip and a flushed log for each letter would be the slowest part of sending it. Nobody
    waits longer than for the statement that runs already, a pause after it, and then their own.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[set[int]]],
        key: Callable[[T], int],
        limit: int,
        pause: float = 0.0,
    ) -> None:
        """Take what writes a group and returns the keys that were written, a group's most, and seconds."""
        self._write = write
        self._key = key
        self._limit = limit
        self._pause = pause
        self._pause_ends = 0.0
        self._hurried = asyncio.Event()
        self._waiting: list[tuple[T, asyncio.Future[bool] | None]] = []
        self._writer: asyncio.Task[None] | None = None

    def add(self, item: T) -> "asyncio.Future[bool]":
        """Have `item` written, and return what tells whether it was. That raises NotOnRecord.

        An item whose future is cancelled is written all the same.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._put(item, written)
        return written

    def put(self, item: T) -> None:
        """Have `item` written without waiting for it; what the statement raises is nobody's."""
        self._put(item, None)

    def _put(self, item: T, written: asyncio.Future[bool] | None) -> None:
        self._waiting.append((item, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())

    @property
    def is_dry(self) -> bool:
        """Whether everything is written."""
        return self._writer is None

    async def drained(self) -> None:
        """Wait until everything is written, without a pause."""
        self._hurried.set()
        while self._writer:
            await asyncio.wait([self._writer])
        self._hurried.clear()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._rest()
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                await self._write_one(group)
                self._pause_ends = asyncio.get_running_loop().time() + self._pause
        finally:
            self._writer = None

    async def _rest(self) -> None:
        """Let more come together after a statement, where somebody is writing all the time."""
        seconds = self._pause_ends - asyncio.get_running_loop().time()
        if self._pause and seconds > 0 and len(self._waiting) < self._limit:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hurried.wait()

    async def _write_one(self, group: Sequence[tuple[T, asyncio.Future[bool] | None]]) -> None:
        try:
            keys = await self._write([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - each of them is told
            if len(group) > 1 and not is_unavailable(error):
                for one in group:  # one of them does not fit; the others are not to suffer for it
                    await self._write_one([one])
            else:
                for written in _awaited(group):
                    written.set_exception(NotOnRecord(type(error).__name__))
            return
        for item, waiting in group:
            if waiting is not None and not waiting.done():
                waiting.set_result(self._key(item) in keys)


def _awaited(group: Sequence[tuple[T, asyncio.Future[bool] | None]]) -> list[asyncio.Future[bool]]:
    """Return those that somebody still waits for."""
    return [written for _, written in group if written is not None and not written.done()]
