"""Giving back the space of what was forgotten.

On SQLite a forgotten letter leaves its page half empty, and new letters never come there: their rows
go behind the last. Free pages are used again, so auto_vacuum would gain nothing; VACUUM writes the
file anew without the gaps. PostgreSQL fills the gaps itself.
"""

from app.store.database import connection, empty_write_ahead_log

_WORTH = 0.25
_LONGEST = 86_400.0  # seconds
# The part of the file that is unused, but for a page of each table and index, which none of them can do without.
_UNUSED = """
    SELECT (SUM(MAX(unused - page_size, 0)) + freelist_count * page_size) / (1.0 * page_count * page_size) AS part
    FROM dbstat, pragma_page_size, pragma_freelist_count, pragma_page_count WHERE aggregate = TRUE
"""


async def vacuum() -> None:
    """Write SQLite's file anew; on PostgreSQL run VACUUM (ANALYZE). SQLite takes no letters meanwhile."""
    client = connection()
    if client.capabilities.dialect == "sqlite":
        await client.execute_query("VACUUM")
        await empty_write_ahead_log()
    else:
        async with client.acquire_connection() as driver:
            await driver.execute("VACUUM (ANALYZE)", timeout=_LONGEST)


async def vacuum_if_worth_it() -> bool:
    """Write SQLite's file anew where a quarter of it is unused; return whether."""
    if connection().capabilities.dialect != "sqlite":
        return False
    worth: bool = (await connection().execute_query_dict(_UNUSED))[0]["part"] > _WORTH
    if worth:
        await vacuum()
    return worth
