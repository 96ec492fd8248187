"""The list of deliveries on the admin page. A page costs what it shows, not what is stored.

Every list is made of strands, one for each range of an index of `deliveries`: with `status IN (…)`
a database would walk past a million scheduled rows to find three held ones. States and limits are
literals: with parameters, PostgreSQL's generic plan sees neither.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tortoise.expressions import Subquery
from tortoise.functions import Max

from app.domain.address import masked
from app.domain.status import HeldReason, Occasion, Outcome, Status
from app.errors import KeyMissing
from app.store.database import as_moment, as_parameter, connection
from app.store.models import Attempt, Delivery
from app.store.statements import numbered
from app.store.vault import Vault

COMING = (Status.SCHEDULED, Status.CLAIMED, Status.HELD, Status.UNCERTAIN)
ENDED = (Status.SENT, Status.FAILED, Status.CANCELLED)

_STRANDS = {
    Status.SCHEDULED: ("status = 'scheduled' AND NOT notice", "status = 'scheduled' AND notice"),
    Status.CLAIMED: ("claimed_by_id IS NOT NULL",),
    Status.HELD: ("status = 'held'",),
    Status.UNCERTAIN: ("status = 'uncertain'",),
    Status.SENT: ("status = 'sent'",),
    Status.FAILED: ("status = 'failed'",),
    Status.CANCELLED: ("status = 'cancelled'",),
}
# One more row than is shown tells whether there is another page.
_STRAND = """
    SELECT * FROM (
        SELECT {column} AS moment, id FROM deliveries
        WHERE {where} AND ({column}, id) {beyond} (@1, @2)
        ORDER BY {column} {order}, id {order} LIMIT {limit}
    ) AS strand
"""
_LIST = "SELECT moment, id FROM ({strands}) AS strands ORDER BY moment {order}, id {order} LIMIT {limit}"
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"(after|before)-(\d{1,17})-(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery as the list shows it.

    `recipient` is masked: empty where the letter has been purged, None where no key opens it.
    `last_error` is what came of the newest try, or empty if that was no error.
    """

    occasion: Occasion
    status: Status
    held_reason: HeldReason | None
    promised_at: datetime
    due_at: datetime
    status_at: datetime
    recipient: str | None
    attempts: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the cursors of the pages beside them; an empty one: there is none."""

    rows: tuple[Row, ...]
    previous: str
    next: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Between two rows of a list, next to the one with this key."""

    backwards: bool
    moment: datetime
    id: int

    def __str__(self) -> str:
        return f"{'before' if self.backwards else 'after'}-{(self.moment - _EPOCH) // _MICROSECOND}-{self.id}"


async def list_deliveries(vault: Vault, states: Sequence[Status], *, cursor: str = "", limit: int = 50) -> Page:
    """Return a page of COMING states, soonest first, or of ENDED ones, newest first.

    A cursor that is none of ours, or leads where no rows are left, means the first page.
    """
    place = _read(cursor)
    keys, more = await _walk(states, place, limit)
    if place and (not keys or (place.backwards and not more)):
        return await list_deliveries(vault, states, limit=limit)
    backwards = place is not None and place.backwards
    earlier, later = (more, True) if backwards else (place is not None, more)
    return Page(
        rows=await _rows(vault, [key for _, key in keys]),
        previous=str(_Place(True, *keys[0])) if earlier else "",
        next=str(_Place(False, *keys[-1])) if later else "",
    )


def _read(cursor: str) -> _Place | None:
    parts = _CURSOR.fullmatch(cursor)
    return parts and _Place(parts[1] == "before", _EPOCH + int(parts[2]) * _MICROSECOND, int(parts[3]))


async def _walk(states: Sequence[Status], place: _Place | None, limit: int) -> tuple[list[tuple[datetime, int]], bool]:
    """Return the keys next to a place in the list's order, and whether there are more that way."""
    ended = states[0] in ENDED
    backwards = place is not None and place.backwards
    falling = ended != backwards
    start = (place.moment, place.id) if place else (_LAST if ended else _FIRST, 0)
    beyond, order = ("<", "DESC") if falling else (">", "ASC")
    strands = " UNION ALL ".join(
        _STRAND.format(
            column="status_at" if ended else "due_at",
            where=where,
            beyond=beyond,
            order=order,
            limit=limit + 1,
        )
        for state in states
        for where in _STRANDS[state]
    )
    sql = _LIST.format(strands=strands, order=order, limit=limit + 1)
    rows = await connection().execute_query_dict(numbered(sql), [as_parameter(start[0]), start[1]])
    keys = [(as_moment(row["moment"]), row["id"]) for row in rows]
    found = keys[:limit]
    return found[::-1] if backwards else found, len(keys) > limit


async def _rows(vault: Vault, ids: Sequence[int]) -> tuple[Row, ...]:
    found = await Delivery.filter(id__in=ids).values(
        "id",
        "letter_id",
        "occasion",
        "status",
        "held_reason",
        "promised_at",
        "due_at",
        "status_at",
        "attempts",
        recipient="letter__recipient_email_sealed",
        sender="letter__sender_email_sealed",
    )
    by_id = {values["id"]: values for values in found}
    errors = await _last_errors(ids)
    return tuple(_row(vault, by_id[key], errors.get(key, "")) for key in ids)


async def _last_errors(ids: Sequence[int]) -> dict[int, str]:
    newest = Attempt.filter(delivery_id__in=ids).group_by("delivery_id").annotate(newest=Max("id")).values("newest")
    tries = await Attempt.filter(id__in=Subquery(newest)).exclude(outcome=Outcome.ACCEPTED).values()
    return {values["delivery_id"]: _error(values) for values in tries}


def _row(vault: Vault, values: dict[str, Any], last_error: str) -> Row:
    return Row(
        occasion=values["occasion"],
        status=values["status"],
        held_reason=values["held_reason"],
        promised_at=values["promised_at"],
        due_at=values["due_at"],
        status_at=values["status_at"],
        recipient=_recipient(vault, values),
        attempts=values["attempts"],
        last_error=last_error,
    )


def _recipient(vault: Vault, values: dict[str, Any]) -> str | None:
    """A notice goes to the letter's writer."""
    column, sealed = (
        ("sender_email", values["sender"]) if values["occasion"].is_notice else ("recipient_email", values["recipient"])
    )
    try:
        address = vault.open_column(values["letter_id"], column, sealed)
    except KeyMissing:
        return None
    return masked(address) if address else ""


def _error(values: dict[str, Any]) -> str:
    said = (str(values["code"] or ""), values["enhanced"], values["answer"])
    return " ".join(part for part in said if part) or str(values["outcome"])
