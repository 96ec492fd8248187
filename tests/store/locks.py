"""Row locks on PostgreSQL that decide the order of the program's transactions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def in_the_way(outsider: asyncpg.Connection, lock: str) -> AsyncIterator[None]:
    """Hold the locks of a SELECT until the block ends."""
    async with outsider.transaction():
        assert await outsider.fetch(lock)
        yield


async def waiting(outsider: asyncpg.Connection, number: int) -> None:
    """Wait until this many statements wait for a lock."""
    async with asyncio.timeout(60):
        while True:
            await outsider.execute(
                "SELECT pg_stat_clear_snapshot()"
            )  # else the transaction sees the same snapshot for ever
            count = await outsider.fetchval(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if count == number:
                return
