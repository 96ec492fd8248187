"""The edges that no claim is needed for: what the policy and the operator decide."""

from datetime import UTC, datetime

from app.domain.status import HeldReason, Status
from app.store.database import as_parameter, connection, transaction
from app.store.models import Delivery, UndeliverableAddress
from app.store.statements import statements

RESEND_LIMIT = 5
"""How often an unanswered delivery is sent again before it waits for the operator."""


async def resend_uncertain(now: datetime) -> int:
    """Schedule again what was handed over without an answer, under its own Message-ID.

    What its writer has called back meanwhile is not sent again. Each of these may double a
    letter, so after RESEND_LIMIT the delivery stays uncertain until
    the operator decides. Returns how many.
    """
    moment = as_parameter(now)
    resent, _ = await connection().execute_query(statements().resend, [moment, moment, RESEND_LIMIT])
    return resent


async def hold_due_since(since: datetime, now: datetime) -> int:
    """Hold what is scheduled and was due at `since` or later, up to now. Returns how many.

    After a backup is restored, these may have gone out since it was taken.
    """
    doubtful = Delivery.filter(status=Status.SCHEDULED, due_at__gte=since.astimezone(UTC), due_at__lte=now)
    return await doubtful.update(status=Status.HELD, status_at=now, held_reason=HeldReason.OPERATOR)


async def release(reason: HeldReason, now: datetime) -> int:
    """Schedule again what was held for `reason`. Returns how many.

    What is overdue is due now; what is still to come keeps its day. An address that was taken
    for dead may be written to again.
    """
    held = Delivery.filter(status=Status.HELD, held_reason=reason)
    async with transaction():
        await held.filter(due_at__lt=now).update(due_at=now)
        if reason is HeldReason.UNDELIVERABLE:
            letters = await held.values_list("letter__recipient_mac", "letter__sender_mac")
            await UndeliverableAddress.filter(mac__in={mac for macs in letters for mac in macs if mac}).delete()
        return await held.update(status=Status.SCHEDULED, status_at=now, held_reason=None)


async def claimers() -> list[str]:
    """Return the names of the workers that have deliveries claimed at this moment."""
    claims = Delivery.filter(status=Status.CLAIMED).distinct()
    return sorted(str(name) for name in await claims.values_list("claimed_by__name", flat=True))
