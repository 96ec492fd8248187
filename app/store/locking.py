"""Locks on deliveries, which every transaction that changes several of them takes first."""

from tortoise.queryset import QuerySet

from app.store.database import connection
from app.store.models import Delivery

# Changes nothing; but the transaction owns the database before it reads (SQLite begins deferred).
_FIRST_WRITE = "UPDATE leases SET term = term WHERE name = ''"


async def lock_deliveries(deliveries: QuerySet[Delivery]) -> list[Delivery]:
    """Lock deliveries until the transaction ends, and return them as they are now.

    Always in the order of their ids, and before the letter's own row: two transactions that lock in
    different orders would wait for each other, until PostgreSQL ends one of them. A statement that
    follows also sees what the transaction waited for changed in other tables.
    """
    if connection().capabilities.dialect == "sqlite":
        await connection().execute_query(_FIRST_WRITE)
    return await deliveries.order_by("id").select_for_update()
