"""Sending a letter to another address than it was written to, as long as any of it is still to come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.crypto import token_hash
from app.domain.status import HeldReason, Occasion, Status
from app.errors import LeavingJustNow, NotCorrectable
from app.store.cipher import LetterCipher
from app.store.confirmation import Confirmations
from app.store.database import transaction
from app.store.editing import revise
from app.store.execution import retried
from app.store.letters import letter_by, letter_by_token
from app.store.models import Correction, Delivery, Letter
from app.store.quotas import Quotas, hold_over_quota, lock_addresses
from app.store.row_ids import new_row_id
from app.store.sql import lock_deliveries

_OLD_ADDRESS = (HeldReason.FIRST_REFUSED, HeldReason.UNDELIVERABLE, HeldReason.BLOCKED)
"""Why a delivery is held through the fault of the address it was to go to."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """Gives letters another reader's address; the old one learns nothing of it."""

    cipher: LetterCipher
    quotas: Quotas | None
    confirmations: Confirmations
    confirmed: bool
    """Whether an address must confirm what is written to it, where the writer gave none of their own."""

    async def correct_by_token(
        self,
        token: str,
        recipient_email: str,
        recipient_name: str | None,
        now: datetime,
        clients: Sequence[str] = (),
    ) -> None:
        """Correct the address of a writer's link; for the rest see `correct`."""
        letter = await letter_by_token(token)
        await self.correct(letter.id, recipient_email, recipient_name, now, clients)

    @retried
    async def correct(
        self,
        letter_id: UUID,
        recipient_email: str,
        recipient_name: str | None,
        now: datetime,
        clients: Sequence[str] = (),
    ) -> None:
        """Send what is still to come of a letter to `recipient_email`; `recipient_name` of None stays as it is.

        What the old address refused, or was held on its account, is tried anew on the promised day,
        or now where that has passed. Raises LetterNotFound where the letter has been purged,
        NotCorrectable where nothing of it is to come any more, LeavingJustNow while part of it is
        being handed over, TooMany where a quota is used up; nothing has changed then.
        """
        letter = await letter_by(id=letter_id, purged_at=None)
        address = self._address(letter_id, recipient_email)
        letter.update_from_dict(address)
        given = {"recipient_email": recipient_email, "recipient_name": recipient_name}
        fresh = {name: value for name, value in given.items() if value is not None}
        async with transaction():
            over = await self._count(letter, clients, now)
            await lock_addresses(letter.recipient_hmac, letter.sender_hmac or letter.recipient_hmac)
            deliveries = await _still_to_come(letter_id)
            await revise(self.cipher, Letter.filter(id=letter_id), fresh, **address)
            for delivery in deliveries:
                await _redirect(delivery, letter.recipient_domain_hmac or "", now)
            await _call_off_refusals(letter_id, now)
            unconfirmed = any(delivery.held_reason is HeldReason.UNCONFIRMED for delivery in deliveries)
            if letter.sender_hmac is None and (self.confirmed or unconfirmed):
                await self.confirmations.renew(letter, now)
            if over:
                await hold_over_quota(letter_id, now)

    async def _count(self, letter: Letter, clients: Sequence[str], now: datetime) -> bool:
        """Return whether one of its addresses has had its quota. Raises TooMany."""
        # A write first: this transaction then owns the database before it reads (SQLite begins deferred).
        await Correction.create(
            id=new_row_id(now),
            letter_id=letter.id,
            recipient_hmac=letter.recipient_hmac,
            recipient_domain_hmac=letter.recipient_domain_hmac or "",
        )
        if self.quotas is None:
            return False
        await self.quotas.check_corrections(letter.id, now)
        return await self.quotas.take(letter, [self.cipher.client_hmac(client) for client in clients], now)

    def _address(self, letter_id: UUID, recipient_email: str) -> dict[str, Any]:
        address_hmac = self.cipher.address_hmac(recipient_email)
        return {
            "recipient_hmac": address_hmac,
            "recipient_domain_hmac": self.cipher.domain_hmac(recipient_email),
            "reader_token_hash": token_hash(self.cipher.reader_token(letter_id, address_hmac)),
        }


async def _still_to_come(letter_id: UUID) -> list[Delivery]:
    """Return what is still to come of a letter, which no scan can claim until we are done."""
    of_letter = await lock_deliveries(Delivery.filter(letter_id=letter_id))
    deliveries = [delivery for delivery in of_letter if not delivery.notice]
    letter = await letter_by(id=letter_id, purged_at=None)
    if any(delivery.status is Status.CLAIMED for delivery in deliveries):
        raise LeavingJustNow("this letter is being handed over at this moment")
    open_ones = [delivery for delivery in deliveries if delivery.status not in (Status.SENT, Status.CANCELLED)]
    if letter.stopped_at or all(delivery.status is Status.UNCERTAIN for delivery in open_ones):
        raise NotCorrectable("nothing of this letter is still to come")
    return open_ones


async def _call_off_refusals(letter_id: UUID, now: datetime) -> None:
    """Spare the writer what they know: a notice that has not left would speak of the new address besides."""
    waiting = Delivery.filter(
        letter_id=letter_id, occasion=Occasion.REFUSAL, status__in=(Status.SCHEDULED, Status.HELD)
    )
    await waiting.update(status=Status.CANCELLED, status_at=now, held_reason=None)


async def _redirect(delivery: Delivery, domain_hmac: str, now: datetime) -> None:
    """Send a delivery to another domain; begun anew, unless somebody else decides what becomes of it."""
    changed: dict[str, Any] = {"domain_hmac": domain_hmac}
    waits_for_others = delivery.status is Status.HELD and delivery.held_reason not in _OLD_ADDRESS
    if delivery.status is not Status.UNCERTAIN and not waits_for_others:
        changed |= {
            "status": Status.SCHEDULED,
            "status_at": delivery.status_at if delivery.status is Status.SCHEDULED else now,
            "held_reason": None,
            "due_at": max(now, delivery.promised_at),
            # What the old address did is not the new one's fault; a lost answer stays known (audit).
            "attempts": delivery.unanswered,
            "first_refused_at": None,
        }
    await Delivery.filter(id=delivery.id).update(**changed)
