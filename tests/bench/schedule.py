"""A ledger with millions of deliveries to come: rows written by the database itself, with nothing sealed in them.

Neither counted nor indexed one by one: indexes and triggers are taken away for as long, and all is counted at the end.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import asyncpg

from app.store.database import connected, connection, is_sqlite, sqlite_path
from tests.bench.preparation import fill

_TABLES = ("letters", "deliveries")
_FIRST = "00000000-0000-7000-8000-"
# One writer in a hundred chose a day of their own, up to ten years ahead.
_DAYS = "CASE WHEN n % 100 = 0 THEN n / 100 % 3600 ELSE 0 END"
_COUNTED = """
    INSERT INTO counters (kind, notice, detail, quarter, number, milliseconds)
    SELECT 'waiting', notice, '', {quarter}, COUNT(*), 0 FROM deliveries GROUP BY notice, {quarter}
"""
_POSTGRES = {
    "id": f"('{_FIRST}' || lpad(to_hex(n), 12, '0'))::uuid",
    "unique": "lpad(to_hex(n), 64, '0')",
    "address_hmac": "md5(n::text)",
    "nothing": "'\\x00'::bytea",
    "later": "m.due_at + make_interval(secs => n % 2000000, days => {days})",
    "quarter": "floor(date_part('epoch', due_at) / 900)::bigint",
    "numbers": "generate_series({begin}, {end}) AS n",
}
_SQLITE = {
    "id": f"'{_FIRST}' || printf('%012x', n)",
    "unique": "printf('%064x', n)",
    "address_hmac": "printf('%032x', n * 2654435761)",
    "nothing": "x'00'",
    "later": "strftime('%Y-%m-%d %H:%M:%S', m.due_at, (n % 2000000) || ' seconds', {days} || ' days') || '+00:00'",
    "quarter": "unixepoch(due_at) / 900",
    "numbers": "(WITH RECURSIVE s(n) AS (VALUES ({begin}) UNION ALL SELECT n + 1 FROM s WHERE n < {end})"
    " SELECT n FROM s)",
}


class Schedule:
    """A database whose letters, two deliveries each, all have their days before them."""

    def __init__(self, url: str) -> None:
        self.url = url
        fill(url, 1, written_ago=timedelta())
        self._letters = 1
        self._columns = asyncio.run(_columns(url))

    @property
    def deliveries(self) -> int:
        return self._letters * 2

    def grow(self, deliveries: int) -> None:
        """Add letters until there are so many deliveries."""
        statements = self._statements(self._letters, deliveries // 2 - 1)
        self._letters = deliveries // 2
        if is_sqlite(self.url):
            _grow_sqlite(self.url, statements)
        else:
            asyncio.run(_grow_postgres(self.url, statements))

    def _statements(self, begin: int, end: int) -> tuple[str, ...]:
        words = _SQLITE if is_sqlite(self.url) else _POSTGRES
        letter = {name: words["nothing"] for name in self._columns["letters"] if name.endswith("_sealed")}
        letter |= dict.fromkeys(("recipient_hmac", "reader_token_hash"), words["address_hmac"])
        letter |= {"id": words["id"], "token_hash": words["unique"]}
        message_id = "'<' || n || m.occasion || '@bench.test>'"
        later = words["later"].format(days=_DAYS)
        delivery = {"letter_id": words["id"], "due_at": later, "message_id": message_id}
        numbers = words["numbers"].format(begin=begin, end=end)
        return (
            _insert("letters", self._columns["letters"], letter, f"(SELECT * FROM letters LIMIT 1) AS m, {numbers}"),
            _insert(
                "deliveries",
                self._columns["deliveries"],
                delivery,
                f"(SELECT * FROM deliveries LIMIT 2) AS m, {numbers}",
            ),
            "DELETE FROM counters",
            _COUNTED.format(quarter=words["quarter"]),
        )


def _grow_sqlite(url: str, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as database:
        for quick in ("journal_mode = OFF", "cache_size = -500000"):  # KiB
            database.execute(f"PRAGMA {quick}")
        made = database.execute(
            f"SELECT type, name, sql FROM sqlite_master WHERE tbl_name IN {_TABLES} AND type <> 'table' AND sql <> ''"
        ).fetchall()
        without = [f"DROP {kind} {name}" for kind, name, _ in made]
        anew = [sql for _, _, sql in made]
        for statement in ("BEGIN", *without, *statements, *anew, "COMMIT", "ANALYZE"):
            database.execute(statement)


async def _grow_postgres(url: str, statements: Sequence[str]) -> None:
    database = await asyncpg.connect(url)
    try:
        made = await database.fetch(
            f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN {_TABLES}"
            " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        )
        without = [f"DROP INDEX {row['indexname']}" for row in made]
        anew = [row["indexdef"] for row in made]
        quick = "SET session_replication_role = replica", "SET maintenance_work_mem = '512MB'"
        for statement in (*quick, *without, *statements, *anew, "VACUUM ANALYZE"):
            await database.execute(statement)
    finally:
        await database.close()


def _insert(table: str, columns: list[str], own: dict[str, str], source: str) -> str:
    values = ", ".join(own.get(name, f"m.{name}") for name in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {source}"


async def _columns(url: str) -> dict[str, list[str]]:
    """Return the columns that a new row gives, by table."""

    async def names(table: str) -> list[str]:
        rows: list[dict[str, Any]] = await connection().execute_query_dict(f"SELECT * FROM {table} LIMIT 1")
        return list(rows[0])

    async with connected(url):
        deliveries = [name for name in await names("deliveries") if name != "id"]
        return {"letters": await names("letters"), "deliveries": deliveries}
