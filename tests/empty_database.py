"""A migrated PostgreSQL database shared by tests and emptied after each: creating one takes ten times as long."""

from urllib.parse import urlsplit

import asyncpg

_TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
# Changes whenever a test alters the schema or the database's settings; ANALYZE does not change it.
_SCHEMA = """
    SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
        SELECT oid || '.' || xmin AS part FROM pg_constraint
        UNION ALL SELECT oid || '.' || xmin FROM pg_trigger
        UNION ALL SELECT oid || '.' || xmin FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT indexrelid || '.' || xmin FROM pg_index WHERE indexrelid >= 16384
        UNION ALL SELECT oid || '.' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT array_to_string(setconfig, ',') FROM pg_db_role_setting
    ) AS parts
"""
_TERMINATE_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_SEQUENCES = """
    SELECT format('setval(%L, %s, %L)', sequencename, coalesce(last_value, 1), last_value IS NOT NULL)
    FROM pg_sequences
"""


class EmptiedDatabase:
    """Restores the rows that the migrations left."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = urlsplit(url).path[1:]
        self._schema = ""
        self._kept: dict[str, str | None] = {}
        """The rows of each table, as JSON; None where it is empty."""
        self._reset_sequences = ""

    async def learn(self) -> None:
        """Read the rows of a freshly migrated database."""
        connection = await asyncpg.connect(self.url)
        try:
            for (table,) in await connection.fetch(_TABLES):
                self._kept[table] = await connection.fetchval(f'SELECT json_agg(t)::text FROM "{table}" AS t')
            self._reset_sequences = "SELECT " + ", ".join(call for (call,) in await connection.fetch(_SEQUENCES))
            self._schema = await connection.fetchval(_SCHEMA)
        finally:
            await connection.close()

    async def empty(self) -> bool:
        """End every connection and restore the rows; False where the schema has changed."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(_TERMINATE_OTHERS)
            if await connection.fetchval(_SCHEMA) != self._schema:
                return False
            filled = ", ".join(
                f"""CASE WHEN EXISTS (SELECT 1 FROM "{table}") THEN '{table}' END""" for table in self._kept
            )
            touched = await connection.fetchval(f"SELECT array_remove(ARRAY[{filled}], NULL)")
            tables = {*touched, *(table for table, rows in self._kept.items() if rows)}
            async with connection.transaction():
                await connection.execute(
                    "SET LOCAL session_replication_role = replica"
                )  # otherwise the audit log's triggers refuse
                await connection.execute("TRUNCATE {} CASCADE".format(", ".join(f'"{table}"' for table in tables)))
                for table, rows in self._kept.items():
                    if rows:
                        await connection.execute(
                            f'INSERT INTO "{table}" SELECT * FROM json_populate_recordset(NULL::"{table}", $1)', rows
                        )
                await connection.execute(self._reset_sequences)
            return True
        finally:
            await connection.close()
