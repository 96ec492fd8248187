"""Connecting, migrating, and what differs between SQLite and PostgreSQL."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.backends.base.executor import EXECUTOR_CACHE
from tortoise.connection import get_connection
from tortoise.context import TortoiseContext
from tortoise.exceptions import DBConnectionError, IntegrityError, OperationalError, TransactionManagementError
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from app.errors import DatabaseError

APP = "mailbox"
UNAVAILABLE = (
    OperationalError,
    DBConnectionError,
    TransactionManagementError,
    sqlite3.OperationalError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)


def is_unavailable(error: BaseException) -> bool:
    """Return whether a statement failed because the database is away, full, read-only or too busy.

    An IntegrityError is a fault of ours: trying again mends nothing.
    """
    return isinstance(error, UNAVAILABLE) and not isinstance(error, IntegrityError)


_SQLITE_PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",  # a hand-over that is on record must survive a power cut
    "busy_timeout": 30_000,  # milliseconds to wait for another process's write
    "foreign_keys": "ON",
}
_POOL = {"minsize": 1, "maxsize": 10, "timeout": 10, "command_timeout": 60}


def tortoise_config(url: str) -> dict[str, Any]:
    """Return Tortoise's configuration for a database URL."""
    connection = expand_db_url(url)
    if is_sqlite(url):
        connection["credentials"] |= _SQLITE_PRAGMAS
    else:
        connection["credentials"] |= _POOL | {"application_name": "slow-mailbox"}
    return {
        "connections": {"default": connection},
        "apps": {APP: {"models": ["app.store.models"], "migrations": "migrations", "default_connection": "default"}},
    }


def is_sqlite(url: str) -> bool:
    return urlsplit(url).scheme == "sqlite"


def sqlite_path(url: str) -> Path:
    """Return the file a `sqlite://` URL names, relative to the working folder unless it has three slashes."""
    parts = urlsplit(url)
    return Path(parts.netloc + parts.path)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[None]:
    """Make the models usable, for every coroutine of this program, until the block ends.

    Raises DatabaseError with what to mend where the database cannot be reached.
    """
    if is_sqlite(url):
        sqlite_path(url).parent.mkdir(parents=True, exist_ok=True)
    EXECUTOR_CACHE.clear()  # Tortoise keeps statements by the connection's name, whatever the database behind it
    async with TortoiseContext() as context:
        await context.init(tortoise_config(url), _enable_global_fallback=True)
        try:
            await connection().execute_query("SELECT 1")
        except Exception as error:
            if not is_unavailable(error):
                raise
            raise DatabaseError(f"MAILBOX_DATABASE_URL: the database cannot be reached: {error}") from error
        yield


def connection() -> BaseDBAsyncClient:
    """Return the database's connection, or the open transaction's."""
    return get_connection("default")


async def migrate(url: str) -> list[str]:
    """Bring the database up to date and return the migrations that were applied."""
    async with connected(url):
        executor = _executor(url)
        steps = [step.migration.name for step in await executor.plan()]
        await executor.migrate([MigrationTarget(APP, "__latest__")], direction="forward")
        return steps


async def missing_migrations(url: str) -> list[str]:
    """Return the names of the migrations that the connected database lacks."""
    return [step.migration.name for step in await _executor(url).plan()]


def _executor(url: str) -> MigrationExecutor:
    return MigrationExecutor(connection(), tortoise_config(url)["apps"])


def as_parameter(moment: datetime) -> Any:
    """Return a moment as raw SQL takes it: SQLite keeps text, as Tortoise writes it."""
    return moment.isoformat(" ") if connection().capabilities.dialect == "sqlite" else moment


def as_moment(value: Any) -> datetime:
    """Return a moment that raw SQL gave, aware and in UTC."""
    moment: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)
