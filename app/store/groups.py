"""Many rows at once: as arrays in one statement on PostgreSQL, one by one in one hop on SQLite.

As one JSON parameter they would fit both alike, and cost more than the rows themselves do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.store.database import connection
from app.store.sqlite import OurSqlite


async def write(statements: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> set[int]:
    """Write rows of the same columns, all or nothing, and return the ids of those that were still as expected.

    PostgreSQL has one statement, that takes a column each in their order and returns the ids.
    SQLite has a few that take a row by its names, the first of which finds it or not.
    """
    if not rows:
        return set()
    client = connection()
    if isinstance(client, OurSqlite):
        found: set[int] = await client.write_rows(statements, rows)
        return found
    (statement,) = statements
    columns = [list(column) for column in zip(*(row.values() for row in rows), strict=True)]
    return {row["id"] for row in await client.execute_query_dict(statement, columns)}
