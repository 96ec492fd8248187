"""An operator's edge for all that matches, a batch to a transaction: none is so long that the scan waits."""

from datetime import UTC, datetime

from tortoise.queryset import QuerySet

from app.domain.status import HeldReason, Status
from app.store.edges import Edge, hold, release
from app.store.models import Delivery

BATCH = 500


async def hold_due_since(since: datetime, now: datetime) -> int:
    """Hold what is scheduled and was due at `since` or later, up to now. Returns how many.

    After a backup is restored, these may have gone out since it was taken.
    """
    doubtful = Delivery.filter(status=Status.SCHEDULED, due_at__gte=since.astimezone(UTC), due_at__lte=now)
    return await _move_all(doubtful, hold, now)


async def release_held(reason: HeldReason, now: datetime) -> int:
    """Schedule again what is held for `reason`. Returns how many."""
    return await _move_all(Delivery.filter(status=Status.HELD, held_reason=reason), release, now)


async def _move_all(matching: QuerySet[Delivery], edge: Edge, now: datetime) -> int:
    """Take an edge with all that match; it may be broken off and begun again."""
    moved, last = 0, 0
    while batch := await matching.filter(id__gt=last).order_by("id").limit(BATCH).only("id"):
        last = batch[-1].id
        moved += len(await edge([delivery.id for delivery in batch], now))
    return moved
