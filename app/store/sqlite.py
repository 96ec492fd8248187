"""Tortoise's SQLite, but that it opens a new file beside others, and that an UPDATE counts its own rows.

And groups of rows, for which each row's own way to the connection's thread and back would be too long.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import Any
from uuid import UUID

from tortoise.backends.base.client import NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
    translate_exceptions,
)

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds


class OurSqlite(SqliteClient):
    """Tortoise 1.1 adds the rows that the triggers of an UPDATE changed."""

    @translate_exceptions
    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Sequence[dict[str, Any]]]:
        query = query.replace("\x00", "'||CHAR(0)||'")
        async with self.acquire_connection() as connection:
            self.log.debug("%s: %s", query, values)
            found: tuple[int, Sequence[dict[str, Any]]] = await connection._execute(
                _run, connection._conn, query, values or ()
            )
            return found

    @translate_exceptions
    async def write_group(self, statements: Sequence[str], values: Sequence[Any]) -> set[int]:
        """Run statements with the same values in one hop, all or nothing; return the ids that the last one returns."""
        async with self.acquire_connection() as connection:
            for statement in statements:
                self.log.debug("%s: %s", statement, values)
            found: set[int] = await connection._execute(_write, connection._conn, statements, values)
            return found


def _run(driver: Connection, query: str, values: Sequence[Any]) -> tuple[int, Sequence[Any]]:
    """Run in the connection's own thread, in one hop."""
    cursor = driver.execute(query, values)
    rows = cursor.fetchall()
    return max(cursor.rowcount, len(rows)), rows


def as_text(moment: datetime) -> str:
    """Return a moment as SQLite keeps it, and as Tortoise writes it: in UTC, so that texts sort as the moments do."""
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(" ")


_KEPT_AS: Mapping[type, Callable[[Any], str]] = {datetime: as_text, UUID: str}


def as_kept(value: Any) -> str:
    """Return what SQLite keeps of a value that JSON has no word for."""
    return _KEPT_AS[type(value)](value)


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
    return {found for (found,) in driver.execute(last, values).fetchall()}


class Client(OurSqlite):
    async def create_connection(self, with_db: bool) -> None:
        """Connect. Of several who turn a new file to WAL at once, SQLite fails some instead of letting them wait."""
        for pause in _PAUSES:
            try:
                return await super().create_connection(with_db)
            except sqlite3.OperationalError as error:
                await self.close()  # it would be used without the pragmas that are missing
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
            await asyncio.sleep(pause)
        return await super().create_connection(with_db)

    def _in_transaction(self) -> TransactionContext:
        return SqliteTransactionContext(_Transaction(self), self._lock)


class _Transaction(OurSqlite, SqliteTransactionWrapper):
    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(_Transaction(self))


client_class = Client
"""What Tortoise looks for in the module of a connection's `engine`."""
