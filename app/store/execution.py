"""Retries after conflicts, and timeouts of database operations."""

import asyncio
import functools
import random
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import asyncpg
from tortoise.backends.base.client import TransactionalDBClient

from app.store.database import connection, driver_error

P = ParamSpec("P")
T = TypeVar("T")
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # seconds, times 1 to 2


def retried(operation: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Retry an operation after a conflict with another transaction.

    That is a serialization failure or deadlock on PostgreSQL (40001, 40P01), and on SQLite a write after
    a read that another process's write has made stale. Inside a larger transaction the operation runs
    once, since that has to be retried as a whole.
    """

    @functools.wraps(operation)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if isinstance(connection(), TransactionalDBClient):
            return await operation(*args, **kwargs)
        for pause in _PAUSES:
            try:
                return await operation(*args, **kwargs)
            except Exception as error:
                if not _is_conflict(error):
                    raise
            await asyncio.sleep(pause * random.uniform(1, 2))  # noqa: S311 - no secret
        return await operation(*args, **kwargs)

    return run


def _is_conflict(error: Exception) -> bool:
    inner = driver_error(error)
    if isinstance(inner, sqlite3.OperationalError):
        return getattr(inner, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY_SNAPSHOT
    return isinstance(inner, asyncpg.SerializationError | asyncpg.DeadlockDetectedError)


async def within(seconds: float, operation: Coroutine[Any, Any, T]) -> T:
    """Raises TimeoutError after `seconds`; asyncio.timeout would wait for a rollback that hangs."""
    running = asyncio.create_task(operation)
    running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # retrieved, or asyncio logs it
    try:
        done, _ = await asyncio.wait([running], timeout=seconds)
        if not done:
            raise TimeoutError("the database did not answer in time")
        return running.result()
    finally:
        running.cancel()
