"""What is cleaned up every night besides old letters: decisions nobody takes, old attempts."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from app.domain.status import HeldReason, Status
from app.store.database import transaction
from app.store.models import Attempt, Delivery

_BATCH = 500
# Not what the operator held: that is theirs to take back.
_DECIDED = (HeldReason.BLOCKED, HeldReason.FIRST_REFUSED, HeldReason.UNDELIVERABLE, HeldReason.QUOTA)


async def cancel_hopeless(now: datetime, keep: timedelta, limit: int = _BATCH) -> AsyncIterator[int]:
    """Cancel what was due and has been held for `keep`: unwanted by its reader or their server, or beyond a quota.

    Only so can its letter be forgotten one day. Yields how many, a transaction for each `limit`.
    """
    before = now - keep
    hopeless = Delivery.filter(
        status=Status.HELD, held_reason__in=_DECIDED, status_at__lte=before, due_at__lte=before
    ).order_by("status_at", "id")
    while ids := [found for (found,) in await hopeless.limit(limit).values_list("id")]:
        still = Delivery.filter(id__in=ids, status=Status.HELD, held_reason__in=_DECIDED)
        async with transaction():
            yield await still.update(status=Status.CANCELLED, status_at=now, held_reason=None)


async def drop_attempts(now: datetime, keep: timedelta, limit: int = _BATCH) -> AsyncIterator[int]:
    """Drop the attempts that ended `keep` ago or longer of letters that are forgotten; their counts stay.

    Yields how many, a transaction for each `limit` that are looked at, oldest first.
    """
    last = 0
    while found := await Attempt.filter(id__gt=last).order_by("id").limit(limit).values("id", "ended_at"):
        old = [attempt["id"] for attempt in found if attempt["ended_at"] <= now - keep]
        last = found[-1]["id"]
        if not old:
            return
        forgotten = Attempt.filter(id__in=old).exclude(delivery__letter__purged_at=None)
        ids = [attempt_id for (attempt_id,) in await forgotten.values_list("id")]
        async with transaction():
            yield await Attempt.filter(id__in=ids).delete()
