"""The schema as read from the database, in one form for SQLite and PostgreSQL."""

import re
from dataclasses import dataclass
from typing import Any

from app.store.database import connection

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Schema:
    """`columns`: table to column to whether it is nullable."""

    columns: dict[str, dict[str, bool]]
    checks: set[tuple[str, str]]
    indexes: set[tuple[str, str, str]]
    uniques: set[tuple[str, frozenset[str]]]
    foreign_keys: set[tuple[str, str, str, str]]
    triggers: set[tuple[str, str]]


async def read_schema() -> Schema:
    return await (_sqlite() if connection().capabilities.dialect == "sqlite" else _postgres())


async def _query(query: str) -> Rows:
    return await connection().execute_query_dict(query)


async def _sqlite() -> Schema:
    tables = await _query(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        " AND name <> 'tortoise_migrations'"
    )
    found = Schema({}, set(), set(), set(), set(), set())
    for table in tables:
        name = table["name"]
        columns = await _query(f"PRAGMA table_info({name})")
        found.columns[name] = {row["name"]: not row["notnull"] for row in columns}
        found.checks.update((name, check) for check in re.findall(r"CONSTRAINT (\w+) CHECK", table["sql"]))
        keys = frozenset(row["name"] for row in columns if row["pk"])
        found.uniques.add((name, keys))
        for index in await _query(f"PRAGMA index_list({name})"):
            members = await _query(f"PRAGMA index_info({index['name']})")
            if index["unique"]:
                found.uniques.add((name, frozenset(row["name"] for row in members)))
        for key in await _query(f"PRAGMA foreign_key_list({name})"):
            found.foreign_keys.add((name, key["from"], key["table"], key["on_delete"]))
    for index in await _query("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"):
        found.indexes.add((index["name"], index["tbl_name"], _definition(index["sql"])))
    for trigger in await _query("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"):
        found.triggers.add((trigger["tbl_name"], trigger["name"]))
    return found


async def _postgres() -> Schema:
    found = Schema({}, set(), set(), set(), set(), set())
    for row in await _query(
        "SELECT table_name, column_name, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'tortoise_migrations'"
    ):
        found.columns.setdefault(row["table_name"], {})[row["column_name"]] = row["is_nullable"] == "YES"
    for row in await _query(
        "SELECT conrelid::regclass::text AS name, conname, contype::text, confdeltype::text,"
        " confrelid::regclass::text AS parent, (SELECT array_agg(attname::text) FROM pg_attribute"
        "  WHERE attrelid = conrelid AND attnum = ANY (conkey)) AS members"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0"
    ):
        _sort(row, found)
    for row in await _query(
        "SELECT indexname, tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND indexdef NOT LIKE 'CREATE UNIQUE%'"
    ):
        found.indexes.add((row["indexname"], row["tablename"], _definition(row["indexdef"])))
    for row in await _query("SELECT tgname, tgrelid::regclass::text AS name FROM pg_trigger WHERE NOT tgisinternal"):
        found.triggers.add((row["name"], row["tgname"]))
    return found


def _sort(row: dict[str, Any], found: Schema) -> None:
    if row["name"] == "tortoise_migrations":
        return
    match row["contype"]:
        case "c":
            found.checks.add((row["name"], row["conname"]))
        case "p" | "u":
            found.uniques.add((row["name"], frozenset(row["members"])))
        case "f":
            deletes = {"r": "RESTRICT", "c": "CASCADE", "a": "NO ACTION"}[row["confdeltype"]]
            found.foreign_keys.add((row["name"], row["members"][0], row["parent"], deletes))


def _definition(sql: str) -> str:
    """Return an index's columns and condition, without what differs between the databases."""
    columns, _, condition = re.sub(r"^.* ON \S+ (USING btree )?", "", sql).partition(" WHERE ")
    bare = re.sub(r"::text|[()]", "", condition)
    return f"{columns} WHERE {bare}" if bare else columns
