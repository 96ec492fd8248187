"""Who changes rows that others may change at this moment, and in what order these are locked."""

from uuid import UUID

from app.store.database import connection

_LOCK = "SELECT id FROM deliveries WHERE letter_id = $1 ORDER BY id FOR UPDATE"


async def lock_deliveries(letter_id: UUID) -> None:
    """Keep a letter's deliveries as they are for everybody else until the transaction ends.

    They come in the order of their ids, as everywhere, and before the letter's own row: of two who
    took them in different orders, each would wait for the other, until PostgreSQL ends one of them.
    SQLite lets one transaction write at a time.
    """
    if connection().capabilities.dialect == "postgres":
        await connection().execute_query(_LOCK, [letter_id])
