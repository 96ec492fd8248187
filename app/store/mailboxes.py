"""Closing a mailbox to all that is written here, and opening it again: by a letter's link, or by a notice's."""

from datetime import datetime

from tortoise.expressions import Q, Subquery

from app.domain.status import HeldReason, Status
from app.store.database import transaction
from app.store.locking import lock_deliveries
from app.store.models import BlockedAddress, Delivery, Letter
from app.store.operations import retried


async def is_closed(mac: str) -> bool:
    """Return whether nothing may be sent to an address."""
    return await BlockedAddress.exists(mac=mac)


async def close(mac: str, now: datetime) -> None:
    """Have nothing sent any more to an address. Twice is once.

    It shows only when a letter or a notice is due, and is held then: nobody learns of it by
    writing to that address (P3).
    """
    await BlockedAddress.bulk_create([BlockedAddress(mac=mac, since=now)], ignore_conflicts=True)


@retried
async def reopen(mac: str, now: datetime) -> None:
    """Take that back: what it held is due now, but for letters that were stopped."""
    async with transaction():
        await BlockedAddress.filter(mac=mac).delete()
        letters = Subquery(Letter.filter(recipient_mac=mac, stopped_at=None).values("id"))
        ours = Q(sender_mac=mac) | Q(sender_mac=None, recipient_mac=mac)
        notices = Subquery(Letter.filter(ours).values("id"))
        theirs = Q(letter_id__in=letters, notice=False) | Q(letter_id__in=notices, notice=True)
        held = Delivery.filter(theirs, status=Status.HELD, held_reason=HeldReason.BLOCKED)
        ids = [found.id for found in await lock_deliveries(held.only("id"))]
        await Delivery.filter(id__in=ids).update(status=Status.SCHEDULED, status_at=now, due_at=now, held_reason=None)
