"""Claiming due deliveries, recording hand-overs, and reclaiming the claims of dead workers."""

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
from app.store.sql import UNCLAIM, as_ids, as_uuid, lock_deliveries, numbered, statements
from app.store.uncertain import RESEND_LIMIT

Row = Mapping[str, Any]
_OCCASIONS = {occasion.value: occasion for occasion in Occasion}  # ten times as fast as the enum's own look-up


# A tuple: a frozen dataclass with so many fields takes three times as long to make.
class Claimed(NamedTuple):
    """A claimed delivery. `token` fences the claim; `letter` is its row, still sealed.

    `hold_reason`: why it must not be sent, if so: the address is known not to exist or is blocked, or the
    reader stopped the letter. For a notice of a refusal, `refusal` is the reply, `refused_for` its
    reason, and `untried` says that nothing was sent since the address is known not to exist.
    `others`: the letters of the same writer under any `+tag`, for a mail with links to them.
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
        """A notice goes to the writer, if their address is known."""
        return "sender" if self.occasion.is_notice and self.letter["sender_hmac"] else "recipient"


async def claim(
    worker: UUID, token: UUID, now: datetime, limit: int, *, notices: bool, closed: Sequence[str] = ()
) -> list[Claimed]:
    """Claim at most `limit` due notices, or due letters, oldest first, none to the domains in `closed`.

    Concurrent claims never get the same delivery: PostgreSQL skips rows that another claim has locked,
    SQLite has one writer at a time. `token` is the caller's and new: where the result is lost,
    `unclaim` undoes the claim.
    """
    statement = statements().claim.format(kind="notice" if notices else "NOT notice")
    moment = as_parameter(now)
    rows = await connection().execute_query_dict(
        statement, [moment, as_uuid(token), as_uuid(worker), moment, json.dumps(closed), limit]
    )
    return await _open([row["id"] for row in rows]) if rows else []


async def handed_over_by(worker: UUID) -> list[Claimed]:
    claims = Delivery.filter(claimed_by_id=worker, status=Status.CLAIMED, handed_over_at__isnull=False)
    ids = await claims.values_list("id", flat=True)
    return await _open(list(ids)) if ids else []


async def _open(ids: Sequence[Any]) -> list[Claimed]:
    _, rows = await connection().execute_query(statements().open_claims, [as_ids(ids)])
    claims = sorted(map(_claimed, rows), key=attrgetter("due_at", "id"))
    for index, claimed in enumerate(claims):
        if claimed.occasion is Occasion.LINKS:
            claims[index] = claimed._replace(others=await letters_of(claimed.letter["sender_hmac"]))
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
    """Undo a claim whose result was lost. Returns how many deliveries it had."""
    freed, _ = await connection().execute_query(numbered(UNCLAIM), [as_parameter(now), as_uuid(token)])
    return freed


async def hand_over(claims: Sequence[Claimed], now: datetime) -> set[int]:
    """Record that the last bytes of these messages are about to be written.

    Returns the ids that are still claimed with their token; the others must not be written.
    """
    by_token: dict[UUID, list[int]] = {}
    for claimed in claims:
        by_token.setdefault(claimed.token, []).append(claimed.id)
    held: set[int] = set()
    for token, ids in by_token.items():  # usually one
        rows = await connection().execute_query_dict(
            statements().hand_over, [as_parameter(now), as_ids(ids), as_uuid(token)]
        )
        held.update(row["id"] for row in rows)
    return held


@retried
async def reclaim(worker: UUID, beat: int, now: datetime) -> list[int]:
    """Reclaim the deliveries of a worker whose heartbeat has stopped at `beat`, and delete the worker.

    Deliveries not handed over are scheduled again, uncharged; the others become uncertain. A worker
    whose heartbeat has moved since keeps its claims. Returns the reclaimed ids.
    """
    async with transaction() as client:
        locked = await client.execute_query_dict(statements().lock_worker, [as_uuid(worker), beat])
        if not locked:
            return []
        rows = await lock_deliveries(Delivery.filter(claimed_by_id=worker, status=Status.CLAIMED))
        await _release(rows, locked[0]["name"], now)
        await Lease.filter(worker_id=worker).update(worker_id=None)
        await Worker.filter(id=worker).delete()
    return [row.id for row in rows]


async def _release(rows: Sequence[Delivery], worker_name: str, now: datetime) -> None:
    handed_over = [row for row in rows if row.handed_over_at]
    not_handed_over = [row.id for row in rows if not row.handed_over_at]
    unclaimed = {"status_at": now, "claim_token": None, "claimed_by_id": None, "handed_over_at": None}
    if not_handed_over:
        await Delivery.filter(id__in=not_handed_over).update(status=Status.SCHEDULED, **unclaimed)
    if handed_over:
        await Delivery.filter(id__in=[row.id for row in handed_over]).update(
            status=Status.UNCERTAIN, due_at=now, attempts=F("attempts") + 1, unanswered=F("unanswered") + 1, **unclaimed
        )
        await Attempt.bulk_create(_unanswered_attempt(row, worker_name, now) for row in handed_over)


def _unanswered_attempt(delivery: Delivery, worker_name: str, now: datetime) -> Attempt:
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


# Each reads the first row of a partial index. With EXISTS, PostgreSQL drops ORDER BY and LIMIT and scans
# the table, since it expects a third of it to be due.
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
_DUE_WORK = f"SELECT {_UNCERTAIN} AS uncertain, {_UNCONFIRMED} AS unconfirmed, {_OLDEST}"


@dataclass(frozen=True, slots=True)
class DueWork:
    """Whether there may be deliveries to resend, to cancel, and to send."""

    uncertain: bool
    unconfirmed: bool
    scheduled: bool


async def find_due_work(now: datetime) -> DueWork:
    """Return what a scan would find now, paused and rate-limited deliveries included."""
    _, (row,) = await connection().execute_query(
        numbered(_DUE_WORK), [as_parameter(now), as_parameter(now - LINK_LIFETIME)]
    )
    return DueWork(bool(row["uncertain"]), bool(row["unconfirmed"]), _earliest(row) is not None)


async def oldest_due(now: datetime) -> datetime | None:
    (row,) = await connection().execute_query_dict(numbered(f"SELECT {_OLDEST}"), [as_parameter(now)])
    return _earliest(row)


def _earliest(row: Row) -> datetime | None:
    return min((as_moment(row[kind]) for kind in ("notice", "letter") if row[kind]), default=None)
