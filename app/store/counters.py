"""Counts of the ledger that cost what they return: triggers keep them, see `migrations/0006_tallies.py`.

A delivery counts by its state: `waiting` (scheduled or claimed, by when it is due), or the state it
went to, by when that was. `detail` says why it is held, and how late it was sent. An attempt counts
by its outcome for good, also when its row is dropped; `detail` says how long it took.
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
"""The grain of time: counts of a span are those of the quarters of an hour that begin in it."""
QUARTERS_KEPT = timedelta(days=40)
"""For how long the quarters are told apart; what is older is only added up."""

WAITING = "waiting"
ENDED = (Status.SENT.value, Status.FAILED.value)
ATTEMPTS = tuple(outcome.value for outcome in AttemptResult)
LATENESS = (60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0, float("inf"))
"""Seconds from the promise to the sending; what took longer than one and at most the next counts there."""
DURATION = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, float("inf"))
"""Seconds that an attempt took, likewise."""

_COUNTS = """
    SELECT kind, notice, detail, 0 AS span,
           CAST(SUM(number) AS BIGINT) AS number, CAST(SUM(milliseconds) AS BIGINT) AS milliseconds
    FROM counters WHERE kind IN ({kinds}) GROUP BY kind, notice, detail
"""
# What waits may wait for any quarter of an hour of ten years ahead: added up once, as it lies, and not sorted.
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
# What is counted twice or too old or nothing is taken out and put back as its sum: who reads
# meanwhile sees either, and of two who fold at once each puts back what it took.
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
# In a transaction, with the sums aside at first: SQLite has no DELETE inside another statement.
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
    """So many of a kind; `span` is the number of the span asked for, `milliseconds` what all took or were late."""

    kind: str
    notice: bool
    detail: str
    span: int
    number: int
    milliseconds: int


def quarter_of(moment: datetime) -> int:
    """Return the number of the quarter of an hour, since 1970, that a moment is in."""
    return int(moment.timestamp() // QUARTER.total_seconds())


async def count_all() -> list[CounterValue]:
    """Return the counts of all there is, and of all attempts there ever were."""
    return await _counts(_ALL_COUNTS, [])


async def count_kinds(*kinds: Status | AttemptResult) -> list[CounterValue]:
    """Return the counts of all there is of some kinds that do not wait."""
    return await _counts(_COUNTS.format(kinds=", ".join(f"'{kind}'" for kind in kinds)), [])


async def count_spans(kinds: Sequence[str], spans: Iterable[tuple[datetime, datetime]]) -> list[CounterValue]:
    """Return the counts of these kinds in each span of time, to the quarter of an hour.

    Spans may overlap; a span begins with the quarter its beginning is in, and ends before that of its end.
    """
    dialect = connection().capabilities.dialect
    ends = json.dumps([[quarter_of(since), quarter_of(until)] for since, until in spans])
    among = ", ".join(f"'{kind}'" for kind in kinds)
    return await _counts(numbered(_COUNTS_OF_SPANS.format(spans=_SPANS[dialect], kinds=among)), [ends])


async def _counts(sql: str, values: list[str]) -> list[CounterValue]:
    rows = await connection().execute_query_dict(sql, values)
    return [CounterValue(**row | {"notice": bool(row["notice"])}) for row in rows]


@retried
async def compact(now: datetime) -> None:
    """Make few counters of many; the counts stay what they are. Any process may, at any time."""
    horizon = quarter_of(now - QUARTERS_KEPT)
    if connection().capabilities.dialect == "postgres":
        await connection().execute_query(_COMPACT, [horizon])
    elif await connection().execute_query_dict(_COMPACTABLE, [horizon]):
        async with transaction() as whole:
            for statement in _COMPACT_ON_SQLITE:
                await whole.execute_query(statement, [horizon])
