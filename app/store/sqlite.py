"""Tortoise's SQLite, but that an UPDATE counts its own rows: Tortoise 1.1 adds those that its triggers changed."""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from tortoise.backends.base.client import NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite.client import (
    SqliteClient,
    SqliteTransactionContext,
    SqliteTransactionWrapper,
    translate_exceptions,
)


class _CountsItsOwn(SqliteClient):
    @translate_exceptions
    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Sequence[dict[str, Any]]]:
        query = query.replace("\x00", "'||CHAR(0)||'")
        async with self.acquire_connection() as connection:
            self.log.debug("%s: %s", query, values)
            found: tuple[int, Sequence[dict[str, Any]]] = await connection._execute(
                _run, connection._conn, query, values or ()
            )
            return found


def _run(driver: Connection, query: str, values: Sequence[Any]) -> tuple[int, Sequence[Any]]:
    """Run in the connection's own thread, in one hop."""
    cursor = driver.execute(query, values)
    rows = cursor.fetchall()
    return max(cursor.rowcount, len(rows)), rows


class Client(_CountsItsOwn):
    def _in_transaction(self) -> TransactionContext:
        return SqliteTransactionContext(_Transaction(self), self._lock)


class _Transaction(_CountsItsOwn, SqliteTransactionWrapper):
    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(_Transaction(self))


client_class = Client
"""What Tortoise looks for in the module of a connection's `engine`."""
