"""The operator's edges: one function each, for some deliveries at once.

Each takes ids, moves those that are in a state it begins at, and returns which ones it moved, in
order; the others were moved by somebody else meanwhile, or must not be. The rows are locked before
they are judged, in the order of their ids: the scan, a purge, another operator or a second click
either come first and are seen, or come after and see.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from tortoise.queryset import QuerySet

from app.domain.status import Action, AttemptResult, HeldReason, Occasion, Status
from app.store.audit_log import Operator, record, record_delivery_events
from app.store.database import as_parameter, connection, transaction
from app.store.execution import retried
from app.store.models import Attempt, Delivery, UndeliverableAddress
from app.store.sql import lock_deliveries, numbered

Transition = Callable[[Sequence[int], datetime], Awaitable[list[int]]]

_AMONG = {
    "sqlite": "SELECT value FROM json_each(@1)",
    "postgres": "SELECT wanted::bigint FROM jsonb_array_elements_text(@1::jsonb) AS wanted",
}
_KEPT = "EXISTS (SELECT 1 FROM letters WHERE letters.id = letter_id AND purged_at IS NULL)"
_KNOWN_DEAD = """
    EXISTS (
        SELECT 1 FROM letters
        JOIN undeliverable_addresses
            ON address_hmac = CASE WHEN notice THEN COALESCE(sender_hmac, recipient_hmac) ELSE recipient_hmac END
        WHERE letters.id = letter_id
    )
"""
_SCHEDULED = """
    status = 'scheduled', status_at = @2, held_reason = NULL, due_at = CASE WHEN due_at < @2 THEN @2 ELSE due_at END
"""


async def send_now(ids: Sequence[int], now: datetime) -> list[int]:
    """Make due now what is scheduled for later; what is due already is left in its place in line."""
    return await _move(ids, now, "due_at = @2", "status = 'scheduled' AND due_at > @2")


async def hold(ids: Sequence[int], now: datetime) -> list[int]:
    """Keep back what is scheduled until an operator releases it."""
    held = f"status = 'held', status_at = @2, held_reason = '{HeldReason.OPERATOR}'"
    return await _move(ids, now, held, "status = 'scheduled'")


@retried
async def release(ids: Sequence[int], now: datetime) -> list[int]:
    """Schedule again what is held: what is overdue for now, what is still to come for its day.

    An address that was taken for dead may be written to again. Never what its reader does not
    want, or what nobody has confirmed.
    """
    async with transaction():
        await _lock(ids)
        await _revive_addresses(Delivery.filter(id__in=ids, status=Status.HELD, held_reason=HeldReason.UNDELIVERABLE))
        return await _move(
            ids, now, _SCHEDULED, f"status = 'held' AND held_reason NOT IN ('blocked', 'unconfirmed') AND {_KEPT}"
        )


@retried
async def requeue(ids: Sequence[int], now: datetime) -> list[int]:
    """Schedule again what failed, with all the days of retrying before it, and what was held because it failed.

    Not where the letter has been purged, nor to an address that is known not to exist: see `trust`.
    """
    async with transaction():
        fresh = f"{_SCHEDULED}, attempts = unanswered, first_refused_at = NULL"
        moved = await _move(ids, now, fresh, f"status = 'failed' AND {_KEPT} AND NOT {_KNOWN_DEAD}")
        await _free_seconds(moved, now)
        return moved


@retried
async def trust(ids: Sequence[int], now: datetime) -> list[int]:
    """Schedule again what failed, and write again to addresses that were taken for dead."""
    async with transaction():
        await _lock(ids)
        await _revive_addresses(Delivery.filter(id__in=ids, status=Status.FAILED))
        return await requeue(ids, now)


async def cancel(ids: Sequence[int], now: datetime) -> list[int]:
    """Never send these."""
    gone = "status = 'cancelled', status_at = @2, held_reason = NULL"
    return await _move(ids, now, gone, "status IN ('scheduled', 'held', 'failed')")


async def resend(ids: Sequence[int], now: datetime) -> list[int]:
    """Send again what was never answered, under its own Message-ID; it may arrive twice."""
    return await _move(ids, now, _SCHEDULED, f"status = 'uncertain' AND {_KEPT}")


@retried
async def settle_sent(ids: Sequence[int], now: datetime) -> list[int]:
    """Put on record that these arrived although their answer was lost: the operator knows."""
    async with transaction():
        moved = await _move(ids, now, "status = 'sent', status_at = @2, sent_at = @2", "status = 'uncertain'")
        await Attempt.bulk_create([_seen_to_arrive(each, now) for each in moved])
        return moved


async def settle_failed(ids: Sequence[int], now: datetime) -> list[int]:
    """Put on record that these never arrived, without sending them again."""
    return await _move(ids, now, "status = 'failed', status_at = @2", "status = 'uncertain'")


TRANSITIONS: dict[Action, Transition] = {
    Action.SEND_NOW: send_now,
    Action.HOLD: hold,
    Action.RELEASE: release,
    Action.REQUEUE: requeue,
    Action.TRUST: trust,
    Action.CANCEL: cancel,
    Action.RESEND: resend,
    Action.SETTLE_SENT: settle_sent,
    Action.SETTLE_FAILED: settle_failed,
}


@retried
async def _move(ids: Sequence[int], now: datetime, change: str, fence: str) -> list[int]:
    """Apply `change` to those of the rows that pass `fence`, both SQL of ours; @2 is `now`."""
    among = _AMONG[connection().capabilities.dialect]
    sql = f"UPDATE deliveries SET {change} WHERE id IN ({among}) AND {fence} RETURNING id"  # noqa: S608
    async with transaction() as whole:
        await _lock(ids)
        rows = await whole.execute_query_dict(numbered(sql), [json.dumps(list(ids)), as_parameter(now)])
    return sorted(row["id"] for row in rows)


async def _lock(ids: Sequence[int]) -> None:
    """Lock first: an UPDATE that waited for a purge would judge the letters as they stood before it (PostgreSQL)."""
    await lock_deliveries(Delivery.filter(id__in=ids).only("id"))


async def _revive_addresses(deliveries: QuerySet[Delivery]) -> None:
    rows = await deliveries.values_list("notice", "letter__recipient_hmac", "letter__sender_hmac")
    hmacs = {(notice and sender) or recipient for notice, recipient, sender in rows}
    await UndeliverableAddress.filter(address_hmac__in=sorted(hmacs)).delete()


async def _free_seconds(ids: Sequence[int], now: datetime) -> None:
    """Schedule again the second deliveries that wait because one of these, a first, had been refused."""
    letters = await Delivery.filter(id__in=ids, occasion=Occasion.FIRST).values_list("letter_id", flat=True)
    seconds = Delivery.filter(letter_id__in=letters, status=Status.HELD, held_reason=HeldReason.FIRST_REFUSED)
    waiting = [second.id for second in await seconds.order_by("id").only("id")]
    await _move(waiting, now, _SCHEDULED, "status = 'held' AND held_reason = 'first_refused'")


def _seen_to_arrive(delivery_id: int, now: datetime) -> Attempt:
    return Attempt(
        delivery_id=delivery_id,
        claim_token=uuid4(),
        worker_name="operator",
        started_at=now,
        handed_over_at=now,
        ended_at=now,
        outcome=AttemptResult.ACCEPTED,
        answer="an operator says that it arrived",
    )


BATCH = 500


async def hold_due_since(since: datetime, now: datetime, operator: Operator) -> int:
    """Hold what is scheduled and was due at `since` or later, up to now. Returns how many.

    After a backup is restored, these may have gone out since it was taken.
    """
    doubtful = Delivery.filter(status=Status.SCHEDULED, due_at__gte=since.astimezone(UTC), due_at__lte=now)
    return await _move_in_batches(
        Action.HOLD, doubtful, now, operator, f"due since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )


async def release_held(reason: HeldReason, now: datetime, operator: Operator) -> int:
    """Schedule again what is held for `reason`. Returns how many."""
    held = Delivery.filter(status=Status.HELD, held_reason=reason)
    return await _move_in_batches(Action.RELEASE, held, now, operator, f"held: {reason}")


async def _move_in_batches(
    action: Action, matching: QuerySet[Delivery], now: datetime, operator: Operator, subject: str
) -> int:
    """Take an edge with all that match, and put it on the trail; it may be broken off and begun again."""
    changed, last = 0, 0
    while batch := await matching.filter(id__gt=last).order_by("id").limit(BATCH).only("id"):
        last = batch[-1].id
        changed += len(await move(action, [delivery.id for delivery in batch], now, operator))
    await record(operator, action, now, subject=subject, changed=changed)
    return changed


@retried
async def move(action: Action, ids: Sequence[int], now: datetime, operator: Operator) -> list[int]:
    """Take an edge with some deliveries, and write that down beside each; all or nothing."""
    async with transaction():
        moved = await TRANSITIONS[action](ids, now)
        await record_delivery_events(operator, action, moved, now)
        return moved
