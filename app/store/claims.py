"""Claiming what is due, putting the hand-over on record, and taking back what a dead worker held."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal, NamedTuple
from uuid import UUID

from tortoise.expressions import F

from app.domain.refusal import Reason
from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store.confirmation import LINK_LIFETIME
from app.store.database import as_moment, as_parameter, connection, transaction
from app.store.execution import retried
from app.store.link_recovery import letters_of
from app.store.models import Attempt, Delivery, Lease, Worker
from app.store.sql import as_ids, as_uuid, lock_deliveries, numbered, statements
from app.store.uncertain import RESEND_LIMIT

Row = Mapping[str, Any]
_OCCASIONS = {occasion.value: occasion for occasion in Occasion}  # an enum's own look-up takes ten times as long


# A tuple, as are endings and tries: frozen dataclasses of so many fields take three times as long to make.
class Claimed(NamedTuple):
    """A delivery that is ours to carry. `token` fences the claim; `letter` is its row, still sealed.

    `barred`: why it must not go out, if so: the address is known not to exist, or is blocked, or the
    letter was stopped by its reader. `refusal`: what the reader's server said, where this is the
    notice of it, and `refused_for` what was judged of that; `untried`: it was asked nothing, since
    the address is known not to exist. `others`:
    the letters of its writer under any `+tag`, where this mails links to them.
    """

    id: int
    token: UUID
    claimed_at: datetime
    handed_over_at: datetime | None
    occasion: Occasion
    message_id: str
    due_at: datetime
    attempts: int
    first_refused_at: datetime | None
    domain_hmac: str
    letter: Row
    hold_reason: HeldReason | None
    refusal: str
    refused_for: Reason | None
    untried: bool
    others: Sequence[Row] = ()

    @property
    def addressee(self) -> Literal["sender", "recipient"]:
        """Return whose address this goes to: a notice to the writer's, where one is known."""
        return "sender" if self.occasion.is_notice and self.letter["sender_hmac"] else "recipient"


async def claim(
    worker: UUID, token: UUID, now: datetime, limit: int, *, notices: bool, closed: Sequence[str] = ()
) -> list[Claimed]:
    """Take exclusive ownership of at most `limit` due notices, or due letters, oldest first.

    Two workers that claim at once never get the same one: PostgreSQL skips the rows another is
    taking, SQLite lets one write at a time. Letters to the domains in `closed` are left where
    they are. `token` is new, and the caller's: if no answer comes, `unclaim` undoes it.
    """
    statement = statements().claim.format(kind="notice" if notices else "NOT notice")
    moment = as_parameter(now)
    rows = await connection().execute_query_dict(
        statement, [moment, as_uuid(token), as_uuid(worker), moment, json.dumps(closed), limit]
    )
    return await _open([row["id"] for row in rows]) if rows else []


async def handed_over_by(worker: UUID) -> list[Claimed]:
    """Return a worker's claims whose hand-over is on record."""
    claims = Delivery.filter(claimed_by_id=worker, status=Status.CLAIMED, handed_over_at__isnull=False)
    ids = await claims.values_list("id", flat=True)
    return await _open(list(ids)) if ids else []


async def _open(ids: Sequence[Any]) -> list[Claimed]:
    """Return claims with their letters, the oldest first."""
    _, rows = await connection().execute_query(statements().open_claims, [as_ids(ids)])
    claims = sorted(map(_claimed, rows), key=attrgetter("due_at", "id"))
    for at, claimed in enumerate(claims):
        if claimed.occasion is Occasion.LINKS:
            claims[at] = claimed._replace(others=await letters_of(claimed.letter["sender_hmac"]))
    return claims


def _claimed(row: Row) -> Claimed:
    refused, handed_over, token = row["first_refused_at"], row["handed_over_at"], row["claim_token"]
    return Claimed(
        id=row["delivery_id"],
        token=UUID(token) if isinstance(token, str) else token,
        claimed_at=as_moment(row["status_at"]),
        handed_over_at=as_moment(handed_over) if handed_over else None,
        occasion=_OCCASIONS[row["occasion"]],
        message_id=row["message_id"],
        due_at=as_moment(row["due_at"]),
        attempts=row["attempts"],
        first_refused_at=as_moment(refused) if refused else None,
        domain_hmac=row["domain_hmac"],
        letter=row,
        hold_reason=HeldReason(row["hold_reason"]) if row["hold_reason"] else None,
        refusal=row["refusal"] or "",
        refused_for=Reason(row["refusal_reason"]) if row["refusal_reason"] else None,
        untried=bool(row["untried"]),
    )


async def unclaim(token: UUID, now: datetime) -> int:
    """Free what a claim took whose answer never came. Returns how many that were."""
    freed, _ = await connection().execute_query(statements().unclaim, [as_parameter(now), as_uuid(token)])
    return freed


async def hand_over(claims: Sequence[Claimed], now: datetime) -> set[int]:
    """Put on record that these messages' last bytes are about to be written.

    Returns the ids of those that are still ours; the others must not be written.
    """
    by_token: dict[UUID, list[int]] = {}
    for claimed in claims:
        by_token.setdefault(claimed.token, []).append(claimed.id)
    ours: set[int] = set()
    for token, ids in by_token.items():  # one, but where a claim ends and the next begins
        rows = await connection().execute_query_dict(
            statements().hand_over, [as_parameter(now), as_ids(ids), as_uuid(token)]
        )
        ours.update(row["id"] for row in rows)
    return ours


@retried
async def reclaim(worker: UUID, beat: int, now: datetime) -> list[int]:
    """Take back the claims of a worker whose beat has stood still at `beat`, and strike it off.

    What it had not handed over is scheduled again, uncharged; what it had is uncertain. A worker
    that has moved its beat since is left alone. Returns which were taken back.
    """
    async with transaction() as ours:
        locked = await ours.execute_query_dict(statements().lock_worker, [as_uuid(worker), beat])
        if not locked:
            return []
        rows = await lock_deliveries(Delivery.filter(claimed_by_id=worker, status=Status.CLAIMED))
        await _take_back(rows, locked[0]["name"], now)
        await Lease.filter(worker_id=worker).update(worker_id=None)
        await Worker.filter(id=worker).delete()
    return [row.id for row in rows]


async def _take_back(rows: Sequence[Delivery], worker_name: str, now: datetime) -> None:
    handed_over = [row for row in rows if row.handed_over_at]
    untouched = [row.id for row in rows if not row.handed_over_at]
    freed = {"status_at": now, "claim_token": None, "claimed_by_id": None, "handed_over_at": None}
    if untouched:
        await Delivery.filter(id__in=untouched).update(status=Status.SCHEDULED, **freed)
    if handed_over:
        await Delivery.filter(id__in=[row.id for row in handed_over]).update(
            status=Status.UNCERTAIN, due_at=now, attempts=F("attempts") + 1, unanswered=F("unanswered") + 1, **freed
        )
        await Attempt.bulk_create(_lost_attempt(row, worker_name, now) for row in handed_over)


def _lost_attempt(delivery: Delivery, worker_name: str, now: datetime) -> Attempt:
    return Attempt(
        delivery_id=delivery.id,
        claim_token=delivery.claim_token,
        worker_name=worker_name,
        started_at=delivery.status_at,
        handed_over_at=delivery.handed_over_at,
        ended_at=now,
        outcome=AttemptResult.UNANSWERED,
        answer="the worker was gone before the server's answer was on record",
    )


# Each reads the first row of a partial index. An EXISTS would forget ORDER BY and LIMIT, and PostgreSQL
# would rather read the table, of which it takes a third to be due.
_FIRST = "(SELECT 1 FROM deliveries WHERE {where} <= @{latest} ORDER BY {order} LIMIT 1) IS NOT NULL"
_UNCERTAIN = _FIRST.format(
    where=f"status = 'uncertain' AND unanswered <= {RESEND_LIMIT} AND due_at", latest=1, order="due_at"
)
_UNCONFIRMED = _FIRST.format(where="held_reason = 'unconfirmed' AND status_at", latest=2, order="status_at")
_OLDEST = ", ".join(
    f"(SELECT due_at FROM deliveries WHERE status = 'scheduled' AND {kind} AND due_at <= @1"  # noqa: S608 - constants
    f" ORDER BY due_at LIMIT 1) AS {name}"
    for name, kind in (("notice", "notice"), ("letter", "NOT notice"))
)
_LOOK = f"SELECT {_UNCERTAIN} AS uncertain, {_UNCONFIRMED} AS unconfirmed, {_OLDEST}"


@dataclass(frozen=True, slots=True)
class DueWork:
    """Whether something may have to be sent again, or called off, and whether anything is to be sent."""

    uncertain: bool
    unconfirmed: bool
    scheduled: bool


async def find_due_work(now: datetime) -> DueWork:
    """Return what there is for a scan at this moment; what is paused or closed to us counts, too."""
    _, (found,) = await connection().execute_query(
        numbered(_LOOK), [as_parameter(now), as_parameter(now - LINK_LIFETIME)]
    )
    return DueWork(bool(found["uncertain"]), bool(found["unconfirmed"]), _earliest(found) is not None)


async def oldest_due(now: datetime) -> datetime | None:
    """Return since when the oldest due delivery has been due; None where none is."""
    (found,) = await connection().execute_query_dict(numbered(f"SELECT {_OLDEST}"), [as_parameter(now)])
    return _earliest(found)


def _earliest(found: Mapping[str, Any]) -> datetime | None:
    return min((as_moment(found[kind]) for kind in ("notice", "letter") if found[kind]), default=None)
