"""The reader's operations: stopping a letter, blocking mail to an address, and undoing either."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tortoise.expressions import Q, Subquery

from app.crypto import token_hash
from app.domain.address import masked
from app.domain.status import HeldReason, Status
from app.errors import LetterNotFound
from app.store.cipher import LetterCipher
from app.store.database import transaction
from app.store.execution import retried
from app.store.letters import letter_by
from app.store.models import BlockedAddress, Delivery, Letter
from app.store.sql import lock_deliveries

# Not those held by the operator: undoing a stop must not release them.
_WAITING = Q(status=Status.SCHEDULED) | Q(
    status=Status.HELD, held_reason__in=[reason for reason in HeldReason if reason is not HeldReason.OPERATOR]
)


class SecondArrival(StrEnum):
    """Whether a letter will be sent to its reader again."""

    WAITS = "waits"
    LEAVES = "leaves"
    STOPPED = "stopped"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class ReceivedLetter:
    """A letter as its reader's page shows it, without its text.

    `address` is the reader's, masked; empty where the letter was purged. `again_at` is when the next
    delivery is due, or would be. `resumable`: the reader may still undo the stop.
    """

    address: str
    timezone: str
    written_at: datetime
    coming: SecondArrival
    again_at: datetime | None
    stopped: bool
    resumable: bool
    blocked: bool


async def received(cipher: LetterCipher, token: str, now: datetime) -> ReceivedLetter:
    """Raises LetterNotFound, and KeyMissing where the address cannot be opened."""
    letter = await _by_token(token)
    address = cipher.open_column(letter.id, letter.revision, "recipient_email", letter.recipient_email_sealed)
    deliveries = await Delivery.filter(letter_id=letter.id, notice=False).order_by("due_at")
    coming, delivery = _coming(letter, deliveries)
    return ReceivedLetter(
        address=masked(address) if address else "",
        timezone=letter.timezone,
        written_at=letter.written_at,
        coming=coming,
        again_at=delivery.due_at if delivery else None,
        stopped=letter.stopped_at is not None,
        resumable=letter.purged_at is None and any(_resumable(letter, each, now) for each in deliveries),
        blocked=await is_blocked(letter.recipient_hmac),
    )


@retried
async def stop(token: str, now: datetime) -> None:
    """Cancel a letter's unsent deliveries; a claimed one is not tried again. Idempotent. Raises LetterNotFound."""
    letter = await _by_token(token)
    async with transaction():
        await lock_deliveries(Delivery.filter(letter_id=letter.id))
        if await Letter.filter(id=letter.id, stopped_at=None).update(stopped_at=now):
            waiting = Delivery.filter(_WAITING, letter_id=letter.id, notice=False)
            await waiting.update(status=Status.CANCELLED, status_at=now, held_reason=None)


@retried
async def resume(token: str, now: datetime) -> None:
    """Schedule again the deliveries that `stop` cancelled and that are not overdue.

    Raises LetterNotFound, for a purged letter too.
    """
    letter = await _by_token(token)
    async with transaction():
        await lock_deliveries(Delivery.filter(letter_id=letter.id))
        stopped = Delivery.filter(letter_id=letter.id, status=Status.CANCELLED, status_at=letter.stopped_at)
        coming = stopped.filter(notice=False, due_at__gt=now)
        restored = await coming.filter(awaited_hmac=None).update(status=Status.SCHEDULED, status_at=now)
        unconfirmed = {"status": Status.HELD, "status_at": now, "held_reason": HeldReason.UNCONFIRMED}
        restored += await coming.exclude(awaited_hmac=None).update(**unconfirmed)
        if restored and not await Letter.filter(id=letter.id, purged_at=None).update(stopped_at=None):
            raise LetterNotFound("this letter has been purged")


async def block(token: str, now: datetime) -> None:
    await block_address((await _by_token(token)).recipient_hmac, now)


async def unblock(token: str, now: datetime) -> None:
    await unblock_address((await _by_token(token)).recipient_hmac, now)


async def _by_token(token: str) -> Letter:
    return await letter_by(reader_token_hash=token_hash(token))


def _coming(letter: Letter, deliveries: list[Delivery]) -> tuple[SecondArrival, Delivery | None]:
    for delivery in deliveries:
        if delivery.status in (Status.SCHEDULED, Status.HELD):
            return (SecondArrival.STOPPED if letter.stopped_at else SecondArrival.WAITS), delivery
        if delivery.status in (Status.CLAIMED, Status.UNCERTAIN):
            return SecondArrival.LEAVES, delivery
        if delivery.status is Status.CANCELLED and delivery.status_at == letter.stopped_at:
            return SecondArrival.STOPPED, delivery
    return SecondArrival.NEVER, None


def _resumable(letter: Letter, delivery: Delivery, now: datetime) -> bool:
    return delivery.status is Status.CANCELLED and delivery.status_at == letter.stopped_at and delivery.due_at > now


async def is_blocked(address_hmac: str) -> bool:
    return await BlockedAddress.exists(address_hmac=address_hmac)


async def block_address(address_hmac: str, now: datetime) -> None:
    """Block all mail to an address. Idempotent.

    Deliveries are held only when they are due, so writing a letter does not reveal a block (P3).
    """
    await BlockedAddress.bulk_create([BlockedAddress(address_hmac=address_hmac, since=now)], ignore_conflicts=True)


@retried
async def unblock_address(address_hmac: str, now: datetime) -> None:
    async with transaction():
        await BlockedAddress.filter(address_hmac=address_hmac).delete()
        letters = Subquery(Letter.filter(recipient_hmac=address_hmac, stopped_at=None).values("id"))
        notified = Q(sender_hmac=address_hmac) | Q(sender_hmac=None, recipient_hmac=address_hmac)
        notices = Subquery(Letter.filter(notified).values("id"))
        to_address = Q(letter_id__in=letters, notice=False) | Q(letter_id__in=notices, notice=True)
        held = Delivery.filter(to_address, status=Status.HELD, held_reason=HeldReason.BLOCKED)
        ids = [each.id for each in await lock_deliveries(held.only("id"))]
        await Delivery.filter(id__in=ids).update(status=Status.SCHEDULED, status_at=now, due_at=now, held_reason=None)
