"""An operator's edge for all that matches, a batch to a transaction: none is so long that the scan waits."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tortoise.queryset import QuerySet

from app.domain.actions import Action
from app.domain.status import HeldReason, Status
from app.store.database import transaction
from app.store.edges import EDGES
from app.store.models import Delivery
from app.store.operations import retried
from app.store.trail import Operator, record, record_touches

BATCH = 500


async def hold_due_since(since: datetime, now: datetime, operator: Operator) -> int:
    """Hold what is scheduled and was due at `since` or later, up to now. Returns how many.

    After a backup is restored, these may have gone out since it was taken.
    """
    doubtful = Delivery.filter(status=Status.SCHEDULED, due_at__gte=since.astimezone(UTC), due_at__lte=now)
    return await _move_all(
        Action.HOLD, doubtful, now, operator, f"due since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )


async def release_held(reason: HeldReason, now: datetime, operator: Operator) -> int:
    """Schedule again what is held for `reason`. Returns how many."""
    held = Delivery.filter(status=Status.HELD, held_reason=reason)
    return await _move_all(Action.RELEASE, held, now, operator, f"held: {reason}")


async def _move_all(
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
        moved = await EDGES[action](ids, now)
        await record_touches(operator, action, moved, now)
        return moved
