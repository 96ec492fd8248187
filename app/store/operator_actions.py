"""The operator's transitions: one function each, for several deliveries at once.

Each takes ids, moves the deliveries whose state allows it, and returns their ids in order. The rows
are locked before they are checked, in the order of their ids: a scan, a purge, another operator or
a second click takes effect either wholly before or wholly after.
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
    "postgres": "SELECT value::bigint FROM jsonb_array_elements_text(@1::jsonb)",
}
_UNPURGED = "EXISTS (SELECT 1 FROM letters WHERE letters.id = letter_id AND purged_at IS NULL)"
_UNDELIVERABLE = """
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
    return await _move(ids, now, "due_at = @2", "status = 'scheduled' AND due_at > @2")


async def hold(ids: Sequence[int], now: datetime) -> list[int]:
    held = f"status = 'held', status_at = @2, held_reason = '{HeldReason.OPERATOR}'"
    return await _move(ids, now, held, "status = 'scheduled'")


@retried
async def release(ids: Sequence[int], now: datetime) -> list[int]:
    """Schedule held deliveries again, overdue ones for now, but not blocked or unconfirmed ones.

    Addresses recorded as undeliverable are cleared.
    """
    async with transaction():
        await _lock(ids)
        await _clear_undeliverable(
            Delivery.filter(id__in=ids, status=Status.HELD, held_reason=HeldReason.UNDELIVERABLE)
        )
        return await _move(
            ids, now, _SCHEDULED, f"status = 'held' AND held_reason NOT IN ('blocked', 'unconfirmed') AND {_UNPURGED}"
        )


@retried
async def requeue(ids: Sequence[int], now: datetime) -> list[int]:
    """Schedule failed deliveries again with a full retry period, and second ones that were held because of them.

    Not those to undeliverable addresses: see `requeue_undeliverable`.
    """
    async with transaction():
        retried_anew = f"{_SCHEDULED}, attempts = unanswered, first_refused_at = NULL"
        moved = await _move(ids, now, retried_anew, f"status = 'failed' AND {_UNPURGED} AND NOT {_UNDELIVERABLE}")
        await _release_seconds(moved, now)
        return moved


@retried
async def requeue_undeliverable(ids: Sequence[int], now: datetime) -> list[int]:
    async with transaction():
        await _lock(ids)
        await _clear_undeliverable(Delivery.filter(id__in=ids, status=Status.FAILED))
        return await requeue(ids, now)


async def cancel(ids: Sequence[int], now: datetime) -> list[int]:
    cancelled = "status = 'cancelled', status_at = @2, held_reason = NULL"
    return await _move(ids, now, cancelled, "status IN ('scheduled', 'held', 'failed')")


async def resend(ids: Sequence[int], now: datetime) -> list[int]:
    """Send uncertain deliveries again under the same Message-ID; they may arrive twice."""
    return await _move(ids, now, _SCHEDULED, f"status = 'uncertain' AND {_UNPURGED}")


@retried
async def settle_sent(ids: Sequence[int], now: datetime) -> list[int]:
    async with transaction():
        moved = await _move(ids, now, "status = 'sent', status_at = @2, sent_at = @2", "status = 'uncertain'")
        await Attempt.bulk_create([_confirmed_attempt(each, now) for each in moved])
        return moved


async def settle_failed(ids: Sequence[int], now: datetime) -> list[int]:
    return await _move(ids, now, "status = 'failed', status_at = @2", "status = 'uncertain'")


TRANSITIONS: dict[Action, Transition] = {
    Action.SEND_NOW: send_now,
    Action.HOLD: hold,
    Action.RELEASE: release,
    Action.REQUEUE: requeue,
    Action.TRUST: requeue_undeliverable,
    Action.CANCEL: cancel,
    Action.RESEND: resend,
    Action.SETTLE_SENT: settle_sent,
    Action.SETTLE_FAILED: settle_failed,
}


@retried
async def _move(ids: Sequence[int], now: datetime, change: str, condition: str) -> list[int]:
    """Apply `change` to the rows that match `condition`, both constant SQL; @2 is `now`."""
    among = _AMONG[connection().capabilities.dialect]
    sql = f"UPDATE deliveries SET {change} WHERE id IN ({among}) AND {condition} RETURNING id"  # noqa: S608
    async with transaction() as transacted:
        await _lock(ids)
        rows = await transacted.execute_query_dict(numbered(sql), [json.dumps(list(ids)), as_parameter(now)])
    return sorted(row["id"] for row in rows)


async def _lock(ids: Sequence[int]) -> None:
    """Lock first: an UPDATE that waited for a purge would check the letters as they were before it (PostgreSQL)."""
    await lock_deliveries(Delivery.filter(id__in=ids).only("id"))


async def _clear_undeliverable(deliveries: QuerySet[Delivery]) -> None:
    rows = await deliveries.values_list("notice", "letter__recipient_hmac", "letter__sender_hmac")
    hmacs = {(notice and sender) or recipient for notice, recipient, sender in rows}
    await UndeliverableAddress.filter(address_hmac__in=sorted(hmacs)).delete()


async def _release_seconds(ids: Sequence[int], now: datetime) -> None:
    letters = await Delivery.filter(id__in=ids, occasion=Occasion.FIRST).values_list("letter_id", flat=True)
    seconds = Delivery.filter(letter_id__in=letters, status=Status.HELD, held_reason=HeldReason.FIRST_REFUSED)
    waiting = [second.id for second in await seconds.order_by("id").only("id")]
    await _move(waiting, now, _SCHEDULED, "status = 'held' AND held_reason = 'first_refused'")


def _confirmed_attempt(delivery_id: int, now: datetime) -> Attempt:
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
    """Hold deliveries that fell due between `since` and now; return how many.

    After a backup is restored, these may have been sent since it was taken.
    """
    overdue = Delivery.filter(status=Status.SCHEDULED, due_at__gte=since.astimezone(UTC), due_at__lte=now)
    return await _move_in_batches(
        Action.HOLD, overdue, now, operator, f"due since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )


async def release_held(reason: HeldReason, now: datetime, operator: Operator) -> int:
    held = Delivery.filter(status=Status.HELD, held_reason=reason)
    return await _move_in_batches(Action.RELEASE, held, now, operator, f"held: {reason}")


async def _move_in_batches(
    action: Action, matching: QuerySet[Delivery], now: datetime, operator: Operator, subject: str
) -> int:
    changed, last = 0, 0
    while batch := await matching.filter(id__gt=last).order_by("id").limit(BATCH).only("id"):
        last = batch[-1].id
        changed += len(await move(action, [delivery.id for delivery in batch], now, operator))
    await record(operator, action, now, subject=subject, changed=changed)
    return changed


@retried
async def move(action: Action, ids: Sequence[int], now: datetime, operator: Operator) -> list[int]:
    async with transaction():
        moved = await TRANSITIONS[action](ids, now)
        await record_delivery_events(operator, action, moved, now)
        return moved
