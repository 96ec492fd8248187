"""Finds the deliveries of a filter in the order of time, a page at a time, in either direction.

A query is a UNION ALL of branches, one for each range of an index: with `status IN (…)` a database
would read a million sent rows to find three failed ones. States, occasions and limits are literals,
since PostgreSQL's generic plan does not see parameters.

Rows of an address or Message-ID are few (`quotas.py`: 50 letters a day to an address), as are claimed and
uncertain ones (those at the mail server now): they are read and sorted.
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
    WHERE {where} AND ({moment}, id) {after} (@1, @2) AND {moment} {until} @3
"""
# SQLite merges branches without an ORDER BY of their own and reads only as much of each as it takes; others
# it reads and sorts up to the limit. PostgreSQL needs ORDER BY and LIMIT in each.
_LIMITED_BRANCH = {
    "sqlite": _BRANCH,
    "postgres": "SELECT * FROM (" + _BRANCH + "ORDER BY {moment} {order}, id {order} LIMIT {limit}) AS branch",  # noqa: S608
}
# PostgreSQL takes longer to plan thirty branches than to read them; here it plans one for all occasions.
_BRANCH_PER_OCCASION = """
    SELECT branch.moment, branch.id FROM (VALUES {occasions}) AS kind (name) CROSS JOIN LATERAL ({branch}) AS branch
"""
_KEYS = "SELECT moment, id FROM ({branches}) AS branches ORDER BY moment {order}, id {order} LIMIT {limit}"
# The outer LIMIT ends the count as soon as it is reached.
_NUMBER = "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM ({branches}) AS branches LIMIT {limit}) AS counted"
_DESCENDING = {"after": "<", "until": ">=", "order": "DESC"}
_ASCENDING = {"after": ">", "until": "<", "order": "ASC"}
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
    """The sort key of a delivery."""

    moment: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.moment - _EPOCH) // _MICROSECOND}-{self.id}"


def read_cursor(text: str) -> Cursor | None:
    """The inverse of `str(cursor)`; None where the text is not a cursor."""
    parts = _CURSOR.fullmatch(text)
    return parts and Cursor(_EPOCH + int(parts[1]) * _MICROSECOND, int(parts[2]))


async def find(selection: DeliveryFilter, after: Cursor | None, limit: int, *, descending: bool) -> list[Cursor]:
    """Return at most `limit` cursors, sorted, from `after` (exclusive) or the start."""
    direction = _DESCENDING if descending else _ASCENDING
    branches, values = _branches(selection, direction, limit)
    sql = _KEYS.format(branches=branches, order=direction["order"], limit=limit)
    rows = await connection().execute_query_dict(numbered(sql), [*_range(selection, after, descending), *values])
    return [Cursor(as_moment(row["moment"]), row["id"]) for row in rows]


async def count(selection: DeliveryFilter, limit: int) -> int:
    """Return how many deliveries match; above `limit`, one more than that."""
    branches, values = _branches(selection, _ASCENDING, limit + 1)
    rows = await connection().execute_query_dict(
        numbered(_NUMBER.format(branches=branches, limit=limit + 1)), [*_range(selection, None, False), *values]
    )
    return int(rows[0]["n"])


def _range(selection: DeliveryFilter, after: Cursor | None, descending: bool) -> list[Any]:
    """Return start and stop. No id is 0, so a start with it includes its moment."""
    since, until = selection.since or _FIRST, selection.until or _LAST
    start, stop = (Cursor(until, 0), since) if descending else (Cursor(since, 0), until)
    start = after or start
    return [as_parameter(start.moment), start.id, as_parameter(stop)]


def _branches(selection: DeliveryFilter, direction: dict[str, str], limit: int) -> tuple[str, list[str]]:
    """Return the branches of a query, and its parameters from @4 on."""
    values = [each for each in (selection.address_hmac or selection.domain_hmac, selection.message_id) if each]
    parts = {"limit": limit, **direction}
    scopes = _FOR_ADDRESS if selection.address_hmac else ("domain_hmac = @4",) if selection.domain_hmac else ("TRUE",)
    if selection.message_id or selection.address_hmac:
        message = f"message_id = @{3 + len(values)}" if selection.message_id else "TRUE"
        of_kind = f"status IN ({_listed(selection.states)}) AND occasion IN ({_listed(selection.occasions)})"
        if selection.reasons < set(HeldReason):
            of_kind += f" AND (status <> 'held' OR held_reason IN ({_listed(selection.reasons)}))"
        branches = [_branch(f"{message} AND {each} AND {of_kind}", {"moment": _MOMENT, **parts}) for each in scopes]
    else:
        branches = list(_by_time(selection, scopes[0], parts))
    return " UNION ALL ".join(branches), values


def _by_time(selection: DeliveryFilter, scope: str, parts: dict[str, Any]) -> Iterator[str]:
    for status in sorted(selection.states):
        moment = "status_at" if status in ENDED else "due_at"
        if few := _FEW.get(status):
            among = f"occasion IN ({_listed(selection.occasions)})"
            yield _branch(f"{scope} AND {few} AND {among}", {"moment": moment, **parts})
        else:
            for kind in _kinds(selection, status):
                yield from _by_occasion(f"{scope} AND {kind}", sorted(selection.occasions), {"moment": moment, **parts})


def _by_occasion(where: str, occasions: list[Occasion], parts: dict[str, Any]) -> Iterator[str]:
    """The indexes begin with the occasion."""
    if connection().capabilities.dialect == "postgres":
        branch = _branch(f"{where} AND occasion = kind.name", parts)
        yield _BRANCH_PER_OCCASION.format(occasions=", ".join(f"('{each}')" for each in occasions), branch=branch)
    else:
        yield from (_branch(f"{where} AND occasion = '{each}'", parts) for each in occasions)


def _branch(where: str, parts: dict[str, Any]) -> str:
    return _LIMITED_BRANCH[connection().capabilities.dialect].format(where=where, **parts)


def _kinds(selection: DeliveryFilter, status: Status) -> list[str]:
    """Held deliveries have an index that begins with the reason."""
    state = f"status = '{status}'"
    if status != Status.HELD or selection.reasons == set(HeldReason):
        return [state]
    return [f"{state} AND held_reason = '{reason}'" for reason in sorted(selection.reasons)]
