"""Connections, transactions and migrations on SQLite and PostgreSQL."""

import contextlib
import pkgutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.backends.base.executor import EXECUTOR_CACHE
from tortoise.connection import get_connection, get_connections
from tortoise.context import TortoiseContext
from tortoise.exceptions import (
    BaseORMException,
    DBConnectionError,
    IntegrityError,
    OperationalError,
    TransactionManagementError,
)
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.migrations.recorder import MigrationRecorder
from tortoise.migrations.schema_editor.base import BaseSchemaEditor
from tortoise.transactions import in_transaction

from app.errors import DatabaseError
from app.installation import PACKAGE, folder
from app.store.sqlite import FileReplaced, as_text

APP = "mailbox"
MODELS = ["app.store.models", "app.store.operator_models"]
MIGRATIONS = "app.migrations" if folder("migrations").parent == PACKAGE else "migrations"
UNAVAILABLE = (
    OperationalError,
    DBConnectionError,
    TransactionManagementError,
    sqlite3.OperationalError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a restart cut the connection during a statement
    OSError,
    TimeoutError,
)
_FAULTS = (IntegrityError, asyncpg.DataError, asyncpg.SyntaxOrAccessError)


def driver_error(error: BaseException) -> BaseException:
    inner = error.args[0] if isinstance(error, BaseORMException) and error.args else None
    return inner if isinstance(inner, BaseException) else error


def is_unavailable(error: BaseException) -> bool:
    """Return whether a statement failed because the database is away, full, read-only or too busy.

    A faulty statement fails again when retried; Tortoise raises the same error class for both.
    """
    inner = driver_error(error)
    if isinstance(error, _FAULTS) or isinstance(inner, _FAULTS):
        return False
    if isinstance(inner, sqlite3.OperationalError) and inner.sqlite_errorcode == sqlite3.SQLITE_ERROR:
        return False
    return isinstance(error, UNAVAILABLE)


_SQLITE_PRAGMAS = {
    "journal_mode": "WAL",  # first, while the driver's own timeout of 5 s holds: see app.store.sqlite
    "busy_timeout": 2_500,  # milliseconds to wait for another writer
    "synchronous": "FULL",  # a recorded hand-over must survive a power cut
    "foreign_keys": "ON",
    "secure_delete": "ON",  # purged or resealed values are overwritten in the file
}
_OLDEST_SQLITE = (3, 38)  # for ->> on rows passed as JSON


async def _no_reset(_: object) -> None:
    """Save the round trip of asyncpg's reset after each statement.

    Nothing outlives its transaction (no LISTEN, SET or session lock), and asyncpg itself ends an open one.
    """


_POOL = {"minsize": 1, "maxsize": 10, "timeout": 10, "command_timeout": 60, "reset": _no_reset}


def tortoise_config(url: str) -> dict[str, Any]:
    connection = expand_db_url(url)
    if is_sqlite(url):
        connection["engine"] = "app.store.sqlite"
        connection["credentials"] |= _SQLITE_PRAGMAS
    else:
        connection["engine"] = "app.store.postgres"
        connection["credentials"] |= _POOL | {"application_name": "slow-mailbox"}
    return {
        "connections": {"default": connection},
        "apps": {APP: {"models": MODELS, "migrations": MIGRATIONS, "default_connection": "default"}},
    }


def is_sqlite(url: str) -> bool:
    return urlsplit(url).scheme == "sqlite"


def sqlite_path(url: str) -> Path:
    """Two slashes are relative to the working folder, three are absolute."""
    parts = urlsplit(url)
    return Path(parts.netloc + parts.path)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[None]:
    """Connect the models, for all tasks of this process. Raises DatabaseError where that fails."""
    if is_sqlite(url):
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise DatabaseError(f"SQLite {sqlite3.sqlite_version} is too old; 3.38 or newer is needed, or PostgreSQL")
        _make_folder(sqlite_path(url).parent)
    EXECUTOR_CACHE.clear()  # Tortoise caches statements by connection name
    async with TortoiseContext() as context:
        await context.init(tortoise_config(url), _enable_global_fallback=True)
        try:
            await connection().execute_query("SELECT 1")
        except Exception as error:
            if not is_unavailable(error) and not isinstance(error, sqlite3.DatabaseError):
                raise
            raise DatabaseError(f"MAILBOX_DATABASE_URL: the database cannot be reached: {error}") from error
        if newer := await unknown_migrations():
            raise DatabaseError(
                f"the database is newer than this program: it has {', '.join(newer)}; "
                "run the version of the program that migrated it"
            )
        yield


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"MAILBOX_DATABASE_URL: its folder cannot be created: {error}") from None


def connection() -> BaseDBAsyncClient:
    return get_connection("default")


@contextlib.asynccontextmanager
async def transaction() -> AsyncIterator[BaseDBAsyncClient]:
    """Work as `in_transaction`, and release the connection where BEGIN fails or is cancelled.

    Tortoise 1.1 does not then release its connection (on SQLite: its lock), and the task keeps using
    it: after a restart of PostgreSQL, a retry loop would use the dead connection for ever.
    """
    context = in_transaction("default")
    handler = get_connections()
    try:
        try:
            client = await context.__aenter__()
        except BaseException as error:
            if hasattr(context, "token"):
                with contextlib.suppress(Exception):
                    await context.__aexit__(type(error), error, None)
            raise
        try:
            yield client
        except BaseException as error:
            await context.__aexit__(type(error), error, error.__traceback__)
            raise
        await context.__aexit__(None, None, None)
    finally:
        token = getattr(context, "token", None)
        if token and not token._used:
            handler.reset(token)


async def empty_write_ahead_log() -> None:
    """Remove overwritten values from SQLite's WAL, as far as no reader needs it."""
    if connection().capabilities.dialect == "sqlite":
        await connection().execute_query("PRAGMA wal_checkpoint(TRUNCATE)")


# An advisory lock for the transaction, or a write (that changes nothing).
_MIGRATION_LOCK = {
    "postgres": "SELECT pg_advisory_xact_lock(hashtext('slow-mailbox migrate'))",
    "sqlite": "PRAGMA user_version = 0",
}
_MIGRATION_WAIT = 60_000  # milliseconds for another process that migrates


async def migrate(url: str, target: str = "__latest__") -> list[str]:
    """Apply migrations and return their names.

    All are one transaction, with their records and the table of these. Concurrent calls wait for the first.
    """
    async with connected(url):
        if is_sqlite(url):
            # Rebuilding a table must not delete its children by cascade; they are checked below.
            await connection().execute_query("PRAGMA foreign_keys = OFF")
            await connection().execute_query(f"PRAGMA busy_timeout = {_MIGRATION_WAIT}")
        async with transaction() as client:
            await client.execute_query(_MIGRATION_LOCK[client.capabilities.dialect])
            executor = MigrationExecutor(client, tortoise_config(url)["apps"])
            executor.recorder = _Recorder(client)
            await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
            steps = [step.migration.name for step in await executor.plan([MigrationTarget(APP, target)])]
            await executor.migrate([MigrationTarget(APP, target)], direction="forward")
            if is_sqlite(url) and await client.execute_query_dict("PRAGMA foreign_key_check"):
                raise DatabaseError("a migration would leave rows without the rows they belong to")
        return steps


class _Recorder(MigrationRecorder):
    async def ensure_schema(self, schema_editor: BaseSchemaEditor) -> None:
        """Create the table by a statement: Tortoise's script would commit the transaction on SQLite."""
        table = schema_editor._get_model_sql_data(self.model).table_sql
        await self.connection.execute_query(table.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))


async def missing_migrations() -> list[str]:
    return sorted(_known_migrations() - await _applied_migrations())


async def unknown_migrations() -> list[str]:
    return sorted(await _applied_migrations() - _known_migrations())


def _known_migrations() -> set[str]:
    return {found.name for found in pkgutil.iter_modules(import_module(MIGRATIONS).__path__) if found.name[0] != "_"}


async def _applied_migrations() -> set[str]:
    try:
        rows = await connection().execute_query_dict("SELECT name FROM tortoise_migrations WHERE app = 'mailbox'")
    except OperationalError as error:
        if is_unavailable(error):
            raise
        return set()  # a new database has no such table
    return {row["name"] for row in rows}


_PROBE = {
    # Rewrites the file's header; an UPDATE that changes nothing would write nothing.
    "sqlite": "PRAGMA user_version = 0",
    "postgres": "UPDATE leases SET term = term",
}


async def probe_writing() -> None:
    """Commit a write that changes nothing: it fails where the database cannot be written."""
    await connection().execute_query(_PROBE[connection().capabilities.dialect])


_REASONS: Sequence[tuple[tuple[type[BaseException], ...], frozenset[int], str]] = (
    ((FileReplaced,), frozenset(), "the database file was moved, deleted or replaced; restart the program"),
    ((asyncpg.DiskFullError,), frozenset({sqlite3.SQLITE_FULL}), "the database's disk is full"),
    ((asyncpg.ReadOnlySQLTransactionError,), frozenset({sqlite3.SQLITE_READONLY}), "the database is read-only"),
    (
        (TimeoutError, asyncpg.LockNotAvailableError),
        frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}),
        "the database is locked or too slow",
    ),
)


def reason_of(error: BaseException) -> str:
    """Return why the database is unavailable, without details of its host."""
    inner = driver_error(error)
    code = getattr(inner, "sqlite_errorcode", 0) & 0xFF  # the low byte of an extended code is the primary code
    for kinds, codes, reason in _REASONS:
        if isinstance(inner, kinds) or code in codes:
            return reason
    return "the database cannot be reached"


def as_parameter(moment: datetime) -> Any:
    """Return a moment as a parameter of raw SQL: on SQLite the text that Tortoise stores."""
    return as_text(moment) if connection().capabilities.dialect == "sqlite" else moment


def as_moment(value: Any) -> datetime:
    moment: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
