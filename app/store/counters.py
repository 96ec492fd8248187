"""Counts of deliveries and attempts, kept by triggers, so that reading them does not depend on the ledger's size.

A delivery counts by its state and the quarter-hour of `due_at` (kind `waiting`: scheduled or claimed)
or `status_at` (other states); `detail` is the held reason, or how late it was sent. An attempt counts
by its outcome even after its row is deleted; `detail` is its duration.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.status import AttemptResult, Status
from app.store.database import connection, transaction
from app.store.execution import retried
from app.store.sql import numbered

QUARTER = timedelta(minutes=15)
"""The resolution: a span counts the quarter-hours that begin in it."""
QUARTERS_KEPT = timedelta(days=40)
"""How long quarter-hours are kept; older ones are summed up."""

WAITING = "waiting"
ENDED = (Status.SENT.value, Status.FAILED.value)
ATTEMPTS = tuple(outcome.value for outcome in AttemptResult)
LATENESS = (60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0, float("inf"))
"""Upper bounds of the buckets of seconds from the promise to the sending."""
DURATION = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, float("inf"))
"""The same for the seconds of an attempt."""

_COUNTS = """
    SELECT kind, notice, detail, 0 AS span,
           CAST(SUM(number) AS BIGINT) AS number, CAST(SUM(milliseconds) AS BIGINT) AS milliseconds
    FROM counters WHERE kind IN ({kinds}) GROUP BY kind, notice, detail
"""
# `waiting` may have rows for each quarter-hour of ten years: summed in one pass, without a sort.
_ALL_COUNTS = """
    WITH waiting AS MATERIALIZED (
        SELECT CAST(COALESCE(SUM(number) FILTER (WHERE NOT notice), 0) AS BIGINT) AS letters,
               CAST(COALESCE(SUM(number) FILTER (WHERE notice), 0) AS BIGINT) AS notices
        FROM counters WHERE kind = 'waiting'
    )
    SELECT 'waiting' AS kind, false AS notice, '' AS detail, 0 AS span, letters AS number, 0 AS milliseconds
    FROM waiting
    UNION ALL
    SELECT 'waiting', true, '', 0, notices, 0 FROM waiting
    UNION ALL
""" + _COUNTS.format(kinds=", ".join(f"'{kind}'" for kind in (*Status, *AttemptResult)))  # noqa: S608
_SPANS = {
    "sqlite": "SELECT key AS span, value ->> 0 AS since, value ->> 1 AS until FROM json_each(@1)",
    "postgres": """
        SELECT position - 1 AS span, (ends ->> 0)::bigint AS since, (ends ->> 1)::bigint AS until
        FROM jsonb_array_elements(@1::jsonb) WITH ORDINALITY AS element (ends, position)
    """,
}
_COUNTS_OF_SPANS = """
    SELECT kind, notice, detail, span,
           CAST(SUM(number) AS BIGINT) AS number, CAST(SUM(milliseconds) AS BIGINT) AS milliseconds
    FROM ({spans}) AS spans JOIN counters ON quarter >= since AND quarter < until
    WHERE kind IN ({kinds})
    GROUP BY kind, notice, detail, span
"""
# Duplicate, old and zero rows are deleted and inserted as their sums, in one statement: concurrent readers
# see either, and of two concurrent compactions each inserts the sums of the rows it deleted.
_COMPACT = """
    WITH taken AS (
        DELETE FROM counters
        WHERE (number = 0 AND milliseconds = 0) OR (quarter > 0 AND quarter < $1)
            OR (kind, notice, detail, CASE WHEN quarter < $1 THEN 0 ELSE quarter END) IN (
                SELECT kind, notice, detail, CASE WHEN quarter < $1 THEN 0 ELSE quarter END FROM counters
                GROUP BY 1, 2, 3, 4 HAVING COUNT(*) > 1
            )
        RETURNING kind, notice, detail, CASE WHEN quarter < $1 THEN 0 ELSE quarter END AS quarter, number, milliseconds
    )
    INSERT INTO counters (kind, notice, detail, quarter, number, milliseconds, part)
    SELECT kind, notice, detail, quarter, SUM(number), SUM(milliseconds), nextval('counters_id_seq') FROM taken
    GROUP BY kind, notice, detail, quarter HAVING SUM(number) <> 0 OR SUM(milliseconds) <> 0
"""
_COMPACTABLE = """
    SELECT 1 FROM counters WHERE (number = 0 AND milliseconds = 0) OR (quarter > 0 AND quarter < ?) LIMIT 1
"""
# In a transaction, with the sums kept as quarter -1 at first: SQLite has no DELETE inside another statement.
_COMPACT_ON_SQLITE = (
    """
    INSERT INTO counters (kind, notice, detail, quarter, number, milliseconds)
    SELECT kind, notice, detail, -1, SUM(number), SUM(milliseconds) FROM counters WHERE quarter < ?
    GROUP BY kind, notice, detail
    """,
    "DELETE FROM counters WHERE quarter >= 0 AND quarter < ?",
    "UPDATE counters SET quarter = 0 WHERE quarter < 0 AND ? > 0",
    "DELETE FROM counters WHERE number = 0 AND milliseconds = 0 AND ? > 0",
)


@dataclass(frozen=True, slots=True)
class CounterValue:
    """`span` is the index of the requested span, `milliseconds` the sum of durations or latenesses."""

    kind: str
    notice: bool
    detail: str
    span: int
    number: int
    milliseconds: int


def quarter_of(moment: datetime) -> int:
    return int(moment.timestamp() // QUARTER.total_seconds())


async def count_all() -> list[CounterValue]:
    return await _counts(_ALL_COUNTS, [])


async def count_kinds(*kinds: Status | AttemptResult) -> list[CounterValue]:
    return await _counts(_COUNTS.format(kinds=", ".join(f"'{kind}'" for kind in kinds)), [])


async def count_spans(kinds: Sequence[str], spans: Iterable[tuple[datetime, datetime]]) -> list[CounterValue]:
    """Return the counts of these kinds in each span, from the quarter-hour of its start to before that of its end.

    Spans may overlap.
    """
    dialect = connection().capabilities.dialect
    bounds = json.dumps([[quarter_of(since), quarter_of(until)] for since, until in spans])
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    return await _counts(numbered(_COUNTS_OF_SPANS.format(spans=_SPANS[dialect], kinds=listed)), [bounds])


async def _counts(sql: str, values: list[str]) -> list[CounterValue]:
    rows = await connection().execute_query_dict(sql, values)
    return [CounterValue(**row | {"notice": bool(row["notice"])}) for row in rows]


@retried
async def compact(now: datetime) -> None:
    """Sum up counter rows; the counts stay the same. Safe in several processes at once."""
    horizon = quarter_of(now - QUARTERS_KEPT)
    if connection().capabilities.dialect == "postgres":
        await connection().execute_query(_COMPACT, [horizon])
    elif await connection().execute_query_dict(_COMPACTABLE, [horizon]):
        async with transaction() as client:
            for statement in _COMPACT_ON_SQLITE:
                await client.execute_query(statement, [horizon])
