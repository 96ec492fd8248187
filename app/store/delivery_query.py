"""Finding what a selection means: by its place in time, a page at a time, in either direction.

A question is made of strands, one for each range of an index of `deliveries`: with `status IN (…)`
a database would walk past a million sent rows to find three failed ones. States, occasions and
limits are literals: with parameters, PostgreSQL's generic plan sees neither.

What is looked for by address or Message-ID is found by that, and then sorted: an address is
written to at most 50 times a day (`quotas.py`). So is what is claimed or uncertain: it is as little
as can be with the mail servers at one moment.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from app.domain.delivery_filter import ENDED, DeliveryFilter
from app.domain.status import HeldReason, Occasion, Status
from app.store.database import as_moment, as_parameter, connection
from app.store.sql import numbered

_BRANCH = """
    SELECT {moment} AS moment, id FROM deliveries
    WHERE {where} AND ({moment}, id) {beyond} (@1, @2) AND {moment} {within} @3
"""
# SQLite merges strands that say no order of their own, and reads no more of each than it takes; of
# others it would read and sort a whole limit. PostgreSQL has to be told.
_ENOUGH = {
    "sqlite": _BRANCH,
    "postgres": "SELECT * FROM (" + _BRANCH + "ORDER BY {moment} {order}, id {order} LIMIT {limit}) AS strand",  # noqa: S608
}
# PostgreSQL takes longer to plan thirty strands than to read them; of these it plans one for all occasions.
_BRANCHES = """
    SELECT strand.moment, strand.id FROM (VALUES {occasions}) AS kind (name) CROSS JOIN LATERAL ({strand}) AS strand
"""
_KEYS = "SELECT moment, id FROM ({strands}) AS strands ORDER BY moment {order}, id {order} LIMIT {limit}"
# The limit behind all strands ends the count as soon as it is reached.
_NUMBER = "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM ({strands}) AS strands LIMIT {limit}) AS counted"
_DESCENDING = {"beyond": "<", "within": ">=", "order": "DESC"}
_ASCENDING = {"beyond": ">", "within": "<", "order": "ASC"}
_FEW = {Status.CLAIMED: "claimed_by_id IS NOT NULL", Status.UNCERTAIN: "status = 'uncertain'"}
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"(\d{1,17})-(\d{1,18})")


def _listed(values: Iterable[StrEnum]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


_MOMENT = f"CASE WHEN status IN ({_listed(ENDED)}) THEN status_at ELSE due_at END"
_FOR_ADDRESS = (
    "NOT notice AND letter_id IN (SELECT id FROM letters WHERE recipient_hmac = @4)",
    "notice AND letter_id IN (SELECT id FROM letters WHERE sender_hmac = @4)",
    "notice AND letter_id IN (SELECT id FROM letters WHERE recipient_hmac = @4 AND sender_hmac IS NULL)",
)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """Where a delivery stands in time."""

    moment: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.moment - _EPOCH) // _MICROSECOND}-{self.id}"


def read_cursor(text: str) -> Cursor | None:
    """Return the place that was written so; None: it is none."""
    parts = _CURSOR.fullmatch(text)
    return parts and Cursor(_EPOCH + int(parts[1]) * _MICROSECOND, int(parts[2]))


async def find(selection: DeliveryFilter, beyond: Cursor | None, limit: int, *, descending: bool) -> list[Cursor]:
    """Return the places of at most `limit` deliveries, from the one next to `beyond` on, that one not included.

    They rise, or fall, in time. None for `beyond`: from the first, or the last, on.
    """
    direction = _DESCENDING if descending else _ASCENDING
    strands, values = _branches(selection, direction, limit)
    sql = _KEYS.format(strands=strands, order=direction["order"], limit=limit)
    rows = await connection().execute_query_dict(numbered(sql), [*_range(selection, beyond, descending), *values])
    return [Cursor(as_moment(row["moment"]), row["id"]) for row in rows]


async def count(selection: DeliveryFilter, limit: int) -> int:
    """Return how many deliveries are meant; above `limit`: one more than that."""
    strands, values = _branches(selection, _ASCENDING, limit + 1)
    rows = await connection().execute_query_dict(
        numbered(_NUMBER.format(strands=strands, limit=limit + 1)), [*_range(selection, None, False), *values]
    )
    return int(rows[0]["n"])


def _range(selection: DeliveryFilter, beyond: Cursor | None, descending: bool) -> list[Any]:
    """Return where to start, and the moment to stop at; no id is 0, so a start with it includes its moment."""
    since, until = selection.since or _FIRST, selection.until or _LAST
    start, stop = (Cursor(until, 0), since) if descending else (Cursor(since, 0), until)
    start = beyond or start
    return [as_parameter(start.moment), start.id, as_parameter(stop)]


def _branches(selection: DeliveryFilter, direction: dict[str, str], limit: int) -> tuple[str, list[str]]:
    """Return the strands of a question, and the values from @4 on."""
    values = [each for each in (selection.address_hmac or selection.domain_hmac, selection.message_id) if each]
    how = {"limit": limit, **direction}
    whom = _FOR_ADDRESS if selection.address_hmac else ("domain_hmac = @4",) if selection.domain_hmac else ("TRUE",)
    if selection.message_id or selection.address_hmac:
        which = f"message_id = @{3 + len(values)}" if selection.message_id else "TRUE"
        of_kind = f"status IN ({_listed(selection.states)}) AND occasion IN ({_listed(selection.occasions)})"
        if selection.reasons < set(HeldReason):
            of_kind += f" AND (status <> 'held' OR held_reason IN ({_listed(selection.reasons)}))"
        found = [_branch(f"{which} AND {each} AND {of_kind}", {"moment": _MOMENT, **how}) for each in whom]
    else:
        found = list(_by_time(selection, whom[0], how))
    return " UNION ALL ".join(found), values


def _by_time(selection: DeliveryFilter, whom: str, how: dict[str, Any]) -> Iterator[str]:
    for status in sorted(selection.states):
        moment = "status_at" if status in ENDED else "due_at"
        if few := _FEW.get(status):
            among = f"occasion IN ({_listed(selection.occasions)})"
            yield _branch(f"{whom} AND {few} AND {among}", {"moment": moment, **how})
        else:
            for kind in _kinds(selection, status):
                yield from _by_occasion(f"{whom} AND {kind}", sorted(selection.occasions), {"moment": moment, **how})


def _by_occasion(where: str, occasions: list[Occasion], how: dict[str, Any]) -> Iterator[str]:
    """An index begins with the occasion, so that each is a strand of its own."""
    if connection().capabilities.dialect == "postgres":
        strand = _branch(f"{where} AND occasion = kind.name", how)
        yield _BRANCHES.format(occasions=", ".join(f"('{each}')" for each in occasions), strand=strand)
    else:
        yield from (_branch(f"{where} AND occasion = '{each}'", how) for each in occasions)


def _branch(where: str, how: dict[str, Any]) -> str:
    return _ENOUGH[connection().capabilities.dialect].format(where=where, **how)


def _kinds(selection: DeliveryFilter, status: Status) -> list[str]:
    """Return what is asked of a state; what is held for some reasons has an index that begins with them."""
    state = f"status = '{status}'"
    if status != Status.HELD or selection.reasons == set(HeldReason):
        return [state]
    return [f"{state} AND held_reason = '{reason}'" for reason in sorted(selection.reasons)]
