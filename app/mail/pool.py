"""Connections that are kept for the next letter."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from app.clock import Clock
from app.mail.conversation import Conversation


class Pool:
    """Lends each letter a connection of its own: the one used last, or a new one.

    Every connection, one that is just taking leave too, is either lent to the holder of one of
    the `connections` seats or rests here, and a new one is opened only when none rests. So there
    are never more than `connections` of them.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Conversation]],
        *,
        connections: int,
        messages_per_connection: int,
        idle_time: float,
        clock: Clock,
    ) -> None:
        self.seats = asyncio.Semaphore(connections)
        self._connect = connect
        self._messages = messages_per_connection
        self._idle_time = idle_time
        self._clock = clock
        self._resting: deque[tuple[Conversation, float]] = deque()  # used last, rested least: at the right
        self._sweep: asyncio.TimerHandle | None = None

    async def take(self) -> Conversation:
        """Lend a connection to the holder of a seat. Raises what `connect` raises."""
        while self._resting:
            conversation, since = self._resting.pop()
            if conversation.usable and self._clock.monotonic() - since < self._idle_time:
                return conversation
            conversation.leave()
            await conversation.closed.wait()
        return await self._connect()

    def give_back(self, conversation: Conversation) -> None:
        """Keep a connection for the next letter, if it is fit for one."""
        if conversation.usable and conversation.carried < self._messages:
            self._resting.append((conversation, self._clock.monotonic()))
            if self._sweep is None:
                self._sweep = asyncio.get_running_loop().call_later(self._idle_time, self._take_leave)
        else:
            conversation.leave()
            self._resting.appendleft((conversation, self._clock.monotonic()))

    async def close(self) -> None:
        """Take leave on every connection that rests, and wait until each has ended."""
        if self._sweep:
            self._sweep.cancel()
            self._sweep = None
        for conversation, _ in self._resting:
            conversation.leave()
        while self._resting:
            await self._resting.pop()[0].closed.wait()

    def _take_leave(self) -> None:
        """Forget what has closed, and say QUIT where nothing has been sent for the idle time."""
        self._sweep = None
        now = self._clock.monotonic()
        self._resting = deque(entry for entry in self._resting if not entry[0].closed.is_set())
        for conversation, since in self._resting:
            if now - since >= self._idle_time:
                conversation.leave()
        if self._resting:
            self._sweep = asyncio.get_running_loop().call_later(self._idle_time, self._take_leave)
