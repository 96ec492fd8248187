"""Standing in the way of the program's transactions on PostgreSQL, so that a test decides in which order they go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def in_the_way(outsider: asyncpg.Connection, lock: str) -> AsyncIterator[None]:
    """Hold what a SELECT locks until the block ends."""
    async with outsider.transaction():
        assert await outsider.fetch(lock)
        yield


async def waiting(outsider: asyncpg.Connection, number: int) -> None:
    """Wait until so many statements wait for somebody's lock."""
    async with asyncio.timeout(60):
        while True:
            await outsider.execute("SELECT pg_stat_clear_snapshot()")  # or the transaction sees the same for ever
            count = await outsider.fetchval(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if count == number:
                return
