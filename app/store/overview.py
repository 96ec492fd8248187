"""How the post office stands: read-only, and each question costs what it returns, not what is stored."""

from dataclasses import dataclass
from datetime import datetime

from app.store.database import as_moment, as_parameter, connection
from app.store.leases import SCHEDULER
from app.store.models import Lease, Worker
from app.store.statements import numbered

COUNT_LIMIT = 1_000
"""Counts above this are told as one more than this."""

_OVERVIEW = """
    WITH due_letters AS (SELECT due_at FROM deliveries WHERE status = 'scheduled' AND NOT notice AND due_at <= @1
                     ORDER BY due_at LIMIT {limit}),
         due_notices AS (SELECT due_at FROM deliveries WHERE status = 'scheduled' AND notice AND due_at <= @1
                     ORDER BY due_at LIMIT {limit}),
         due AS (SELECT due_at FROM due_letters UNION ALL SELECT due_at FROM due_notices)
    SELECT (SELECT COUNT(*) FROM due) AS due,
           (SELECT MIN(due_at) FROM due) AS oldest,
           (SELECT COUNT(*) FROM (SELECT id FROM deliveries WHERE status = 'held' LIMIT {limit}) AS h) AS held,
           (SELECT COUNT(*) FROM (SELECT id FROM deliveries WHERE status = 'uncertain' LIMIT {limit}) AS u)
               AS uncertain,
           (SELECT COUNT(*) FROM (SELECT id FROM deliveries WHERE status = 'failed' LIMIT {limit}) AS f) AS failed
"""


@dataclass(frozen=True, slots=True)
class Overview:
    """How the post office stands. Counts stop at COUNT_LIMIT + 1.

    `scheduler` names the worker that holds the lease, alive or not; `seen_at` is its last beat;
    `troubles` are workers that cannot use the mail server just now, with why.
    """

    scheduler: str | None
    seen_at: datetime | None
    due: int
    oldest_due_at: datetime | None
    held: int
    uncertain: int
    failed: int
    troubles: tuple[tuple[str, str], ...]


async def overview(now: datetime) -> Overview:
    """Return how the post office stands."""
    lease = await Lease.get(name=SCHEDULER).select_related("worker")
    sql = _OVERVIEW.format(limit=COUNT_LIMIT + 1)
    (row,) = await connection().execute_query_dict(numbered(sql), [as_parameter(now)])
    return Overview(
        scheduler=lease.worker.name if lease.worker else None,
        seen_at=lease.worker.seen_at if lease.worker else None,
        due=min(row["due"], COUNT_LIMIT + 1),
        oldest_due_at=as_moment(row["oldest"]) if row["oldest"] else None,
        held=row["held"],
        uncertain=row["uncertain"],
        failed=row["failed"],
        troubles=tuple([(worker.name, worker.trouble) async for worker in Worker.exclude(trouble="").order_by("name")]),
    )
