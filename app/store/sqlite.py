"""Tortoise's SQLite client: safe creation of a new file by several processes, right row counts, and group writes.

One connection writes; reads outside of a transaction have their own connections, because in WAL mode
readers do not wait for writers, in this process or another.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

import aiosqlite
from tortoise.backends.base.client import NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
    translate_exceptions,
)

_BUSY_DELAYS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds
_READERS = 4
_BUSY_TIMEOUT = 2.0  # seconds that a reader waits where another process has locked the whole file
_READ_TIMEOUT = 20.0  # seconds


QueryResult = tuple[int, Sequence[dict[str, Any]]]
"""The number of rows found or changed, and the rows returned."""


class FileReplaced(OSError):
    """The database file is no longer at its path: writes to it would be lost at the next start."""


class PatchedSqlite(SqliteClient):
    """Tortoise 1.1 counts the rows changed by triggers, too."""

    @translate_exceptions
    async def execute_query(self, query: str, values: list[Any] | None = None) -> QueryResult:
        query = query.replace("\x00", "'||CHAR(0)||'")
        async with self.acquire_connection() as connection:
            self.log.debug("%s: %s", query, values)
            result: QueryResult = await connection._execute(_run, connection._conn, query, values or ())
            return result

    @translate_exceptions
    async def write_group(self, statements: Sequence[str], values: Sequence[Any]) -> set[int]:
        """Run statements with the same values in one call to the connection's thread, all or nothing.

        Returns the ids that the last one returns.
        """
        async with self.acquire_connection() as connection:
            for statement in statements:
                self.log.debug("%s: %s", statement, values)
            ids: set[int] = await connection._execute(_write, connection._conn, statements, values)
            return ids


def _run(driver: Connection, query: str, values: Sequence[Any]) -> tuple[int, Sequence[Any]]:
    cursor = driver.execute(query, values)
    rows = cursor.fetchall()
    return max(cursor.rowcount, len(rows)), rows


def as_text(moment: datetime) -> str:
    """Return a time as Tortoise stores it in SQLite: in UTC, so that texts sort by time."""
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(" ")


_JSON_TYPES: Mapping[type, Callable[[Any], str]] = {datetime: as_text, UUID: str}


def json_default(value: Any) -> str:
    return _JSON_TYPES[type(value)](value)


def _write(driver: Connection, statements: Sequence[str], values: Sequence[Any]) -> set[int]:
    if driver.in_transaction:
        return _write_group(driver, statements, values)
    driver.execute("BEGIN IMMEDIATE")
    try:
        written = _write_group(driver, statements, values)
        driver.execute("COMMIT")
    except BaseException:
        driver.rollback()
        raise
    return written


def _write_group(driver: Connection, statements: Sequence[str], values: Sequence[Any]) -> set[int]:
    *others, last = statements
    for statement in others:
        driver.execute(statement, values)
    return {row_id for (row_id,) in driver.execute(last, values).fetchall()}


class _WriteLock(asyncio.Lock):
    """The lock of the writing connection. Raises FileReplaced where the file was moved, deleted or replaced."""

    def __init__(self, client: "SqliteFileClient") -> None:
        super().__init__()
        self._client = client

    async def acquire(self) -> Literal[True]:
        self._client.check_file()
        return await super().acquire()


class SqliteFileClient(PatchedSqlite):
    def __init__(self, file_path: str, **kwargs: Any) -> None:
        super().__init__(file_path, **kwargs)
        self._lock = _WriteLock(self)
        self._file: tuple[int, int] | None = None
        self._free_readers = asyncio.Semaphore(_READERS)
        self._idle_readers: list[aiosqlite.Connection] = []

    async def create_connection(self, with_db: bool) -> None:
        """Retry: where several processes turn a new file to WAL at once, SQLite fails some instead of waiting."""
        for delay in (*_BUSY_DELAYS, None):
            try:
                await super().create_connection(with_db)
                break
            except sqlite3.OperationalError as error:
                await self.close()  # otherwise it would be used without its pragmas
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or delay is None:
                    raise
            await asyncio.sleep(delay)
        self._file = _file_at(self.filename)

    async def close(self) -> None:
        while self._idle_readers:
            await self._idle_readers.pop().close()
        await super().close()

    def check_file(self) -> None:
        if self._file and self._file != _file_at(self.filename):
            raise FileReplaced("the database file was moved, deleted or replaced while it was open")

    async def execute_query(self, query: str, values: list[Any] | None = None) -> QueryResult:
        if _only_reads(query):
            result: QueryResult = await self._read(query, values)
        else:
            result = await super().execute_query(query, values)
        return result

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        _, rows = await self.execute_query(query, values)
        return list(map(dict, rows))

    @translate_exceptions
    async def _read(self, query: str, values: list[Any] | None = None) -> QueryResult:
        async with self._reader() as reader:
            self.log.debug("%s: %s", query, values)
            result: QueryResult = await reader._execute(_run, reader._conn, query, values or ())  # type: ignore[no-untyped-call]
            return result

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._free_readers:
            reader = self._idle_readers.pop() if self._idle_readers else await self._new_reader()
            try:
                async with asyncio.timeout(_READ_TIMEOUT):
                    yield reader
            except BaseException:
                reader._conn.interrupt()  # its thread may still run the query of a cancelled caller
                raise
            finally:
                self._idle_readers.append(reader)

    async def _new_reader(self) -> aiosqlite.Connection:
        if not self._connection:
            async with self.acquire_connection():  # connects, which creates the file and turns it to WAL
                pass
        self.check_file()
        uri = f"file:{quote(self.filename)}?mode=ro"
        reader = await aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT)
        reader._conn.row_factory = sqlite3.Row
        return reader

    def _in_transaction(self) -> TransactionContext:
        return SqliteTransactionContext(_SqliteTransaction(self), self._lock)


def _only_reads(query: str) -> bool:
    return query.lstrip()[:7].upper().startswith("SELECT")


def _file_at(path: str) -> tuple[int, int]:
    try:
        stat = Path(path).stat()
    except OSError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)


class _SqliteTransaction(PatchedSqlite, SqliteTransactionWrapper):
    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(_SqliteTransaction(self))


client_class = SqliteFileClient
"""The name that Tortoise imports from a connection's `engine`."""
