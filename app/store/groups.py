"""Many rows at once: as an array of each column on PostgreSQL, as one array of JSON on SQLite.

JSON would fit both alike, and costs PostgreSQL more than the rows themselves do. On SQLite a
statement for each row costs more than all else: its thread and ours hand each other the
interpreter's lock around every one.
"""

import json
from collections.abc import Sequence
from typing import Any

from app.store.database import connection
from app.store.sqlite import OurSqlite, as_kept

_as_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), default=as_kept).encode


async def write(statements: Sequence[str], rows: Sequence[Sequence[Any]]) -> set[int]:
    """Write rows, all or nothing, and return the ids that the last statement returns."""
    if not rows:
        return set()
    client = connection()
    if isinstance(client, OurSqlite):
        found: set[int] = await client.write_group(statements, [_as_json(rows)])
        return found
    (statement,) = statements
    columns = [list(column) for column in zip(*rows, strict=True)]
    return {row["id"] for row in await client.execute_query_dict(statement, columns)}
