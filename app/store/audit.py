"""Sums the ledger and looks for inconsistencies."""

from dataclasses import dataclass
from typing import Any

from app.domain.status import Status
from app.store.database import connection, transaction

# Each must count zero. CHECK constraints see single rows; these queries join rows.
_IMPOSSIBLE = {
    "letters whose deliveries do not match their dates": """
        SELECT COUNT(*) AS n FROM letters
        WHERE (SELECT COUNT(*) FROM deliveries WHERE letter_id = letters.id AND NOT notice)
            <> CASE WHEN second_send_at IS NULL THEN 1 ELSE 2 END
    """,
    "deliveries promised for another time than their letter": """
        SELECT COUNT(*) AS n FROM deliveries JOIN letters ON letters.id = letter_id
        WHERE (occasion = 'first' AND promised_at <> send_at)
            OR (occasion = 'second' AND (second_send_at IS NULL OR promised_at <> second_send_at))
    """,
    "sent deliveries of kept letters without an accepted attempt": """
        SELECT COUNT(*) AS n FROM deliveries JOIN letters ON letters.id = letter_id
        WHERE status = 'sent' AND purged_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM attempts WHERE delivery_id = deliveries.id AND outcome = 'accepted')
    """,
    "accepted attempts of deliveries that are not sent": """
        SELECT COUNT(*) AS n FROM attempts JOIN deliveries ON deliveries.id = delivery_id
        WHERE outcome = 'accepted' AND status <> 'sent'
    """,
    "uncertain deliveries without an unanswered attempt": """
        SELECT COUNT(*) AS n FROM deliveries WHERE status = 'uncertain'
            AND NOT EXISTS (SELECT 1 FROM attempts WHERE delivery_id = deliveries.id AND outcome = 'unanswered')
    """,
    "claims without a worker": """
        SELECT COUNT(*) AS n FROM deliveries WHERE status = 'claimed'
            AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = claimed_by_id)
    """,
    "purged letters with unsent deliveries": """
        SELECT COUNT(*) AS n FROM deliveries JOIN letters ON letters.id = letter_id
        WHERE purged_at IS NOT NULL AND status IN ('scheduled', 'claimed', 'uncertain')
    """,
    "counters that differ from the deliveries": """
        SELECT COUNT(*) AS n FROM (
            SELECT kind, notice, reason FROM (
                SELECT CASE WHEN status IN ('scheduled', 'claimed') THEN 'waiting' ELSE status END AS kind,
                       notice, COALESCE(held_reason, '') AS reason, COUNT(*) AS number
                FROM deliveries GROUP BY status, notice, held_reason
                UNION ALL
                SELECT kind, notice, CASE kind WHEN 'held' THEN detail ELSE '' END, -number FROM counters
                WHERE kind NOT IN ('accepted', 'transient', 'permanent', 'unanswered')
            ) AS counted
            GROUP BY kind, notice, reason HAVING SUM(number) <> 0
        ) AS wrong
    """,
    "attempts that were not counted": """
        SELECT COUNT(*) AS n FROM (SELECT outcome, COUNT(*) AS number FROM attempts GROUP BY outcome) AS there
        WHERE number > (SELECT COALESCE(SUM(number), 0) FROM counters WHERE kind = outcome)
    """,
}


@dataclass(frozen=True, slots=True)
class Audit:
    """`impossible` counts the rows of each kind of inconsistency."""

    letters: int
    deliveries: int
    by_status: dict[str, int]
    ever_unanswered: int
    impossible: dict[str, int]

    @property
    def adds_up(self) -> bool:
        return sum(self.by_status.values()) == self.deliveries and not any(self.impossible.values())


async def audit() -> Audit:
    """Read the whole ledger in one snapshot; slow on a large one."""
    async with transaction() as snapshot:
        if snapshot.capabilities.dialect == "postgres":
            await snapshot.execute_script("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return await _sums()


async def _sums() -> Audit:
    states = await connection().execute_query_dict(
        "SELECT status, COUNT(*) AS n, SUM(CASE WHEN unanswered > 0 THEN 1 ELSE 0 END) AS lost"
        " FROM deliveries GROUP BY status"
    )
    by_status = {status.value: 0 for status in Status} | {row["status"]: row["n"] for row in states}
    return Audit(
        letters=await _count("SELECT COUNT(*) AS n FROM letters"),
        deliveries=await _count("SELECT COUNT(*) AS n FROM deliveries"),
        by_status=by_status,
        ever_unanswered=sum(row["lost"] for row in states),
        impossible={name: await _count(query) for name, query in _IMPOSSIBLE.items()},
    )


async def _count(query: str) -> int:
    rows: list[dict[str, Any]] = await connection().execute_query_dict(query)
    return int(rows[0]["n"])
