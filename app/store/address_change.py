"""Changing the address of a letter whose deliveries are not all sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.crypto import token_hash
from app.domain.status import HeldReason, Occasion, Status
from app.errors import BeingSent, NotCorrectable
from app.store.cipher import LetterCipher
from app.store.confirmation import Confirmations
from app.store.database import transaction
from app.store.editing import revise
from app.store.execution import retried
from app.store.letters import letter_by, letter_by_token
from app.store.models import Correction, Delivery, Letter
from app.store.posting import new_row_id
from app.store.quotas import Quotas, hold_over_quota, lock_addresses
from app.store.sql import lock_deliveries

_ADDRESS_REASONS = (HeldReason.FIRST_REFUSED, HeldReason.UNDELIVERABLE, HeldReason.BLOCKED)
"""Reasons to hold a delivery that are about its address."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """Changes readers' addresses; the old address gets no mail about it."""

    cipher: LetterCipher
    quotas: Quotas | None
    confirmations: Confirmations
    confirmed: bool
    """Whether the reader must confirm a letter whose writer gave no address."""

    async def correct_by_token(
        self, token: str, recipient_email: str, recipient_name: str | None, now: datetime, clients: Sequence[str] = ()
    ) -> None:
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
        """Send a letter's unsent deliveries to `recipient_email`; a `recipient_name` of None keeps the name.

        Deliveries that the old address refused, or that were held because of it, are scheduled for
        the promised day, or for now where that has passed. Raises LetterNotFound where the letter
        has been purged, NotCorrectable where all is sent or cancelled, BeingSent while a
        delivery is claimed, LimitExceeded where a quota is used up; nothing has changed then.
        """
        letter = await letter_by(id=letter_id, purged_at=None)
        address = self._address(letter_id, recipient_email)
        letter.update_from_dict(address)
        values = {"recipient_email": recipient_email, "recipient_name": recipient_name}
        changed = {name: value for name, value in values.items() if value is not None}
        async with transaction():
            over_quota = await self._count(letter, clients, now)
            await lock_addresses(letter.recipient_hmac, letter.sender_hmac or letter.recipient_hmac)
            deliveries = await _unsent_deliveries(letter_id)
            await revise(self.cipher, Letter.filter(id=letter_id), changed, **address)
            for delivery in deliveries:
                await _redirect(delivery, letter.recipient_domain_hmac or "", now)
            await _cancel_refusal_notices(letter_id, now)
            unconfirmed = any(delivery.held_reason is HeldReason.UNCONFIRMED for delivery in deliveries)
            if letter.sender_hmac is None and (self.confirmed or unconfirmed):
                await self.confirmations.renew(letter, now)
            if over_quota:
                await hold_over_quota(letter_id, now)

    async def _count(self, letter: Letter, clients: Sequence[str], now: datetime) -> bool:
        """Return whether the quota of one of its addresses is used up. Raises LimitExceeded."""
        # Write first: the transaction then owns the database before it reads (SQLite begins deferred).
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


async def _unsent_deliveries(letter_id: UUID) -> list[Delivery]:
    deliveries = [each for each in await lock_deliveries(Delivery.filter(letter_id=letter_id)) if not each.notice]
    letter = await letter_by(id=letter_id, purged_at=None)
    if any(delivery.status is Status.CLAIMED for delivery in deliveries):
        raise BeingSent("this letter is being handed over at this moment")
    unsent = [delivery for delivery in deliveries if delivery.status not in (Status.SENT, Status.CANCELLED)]
    if letter.stopped_at or all(delivery.status is Status.UNCERTAIN for delivery in unsent):
        raise NotCorrectable("no delivery of this letter can be changed")
    return unsent


async def _cancel_refusal_notices(letter_id: UUID, now: datetime) -> None:
    """Cancel unsent notices of a refusal: they would name the new address."""
    unsent = Delivery.filter(letter_id=letter_id, occasion=Occasion.REFUSAL, status__in=(Status.SCHEDULED, Status.HELD))
    await unsent.update(status=Status.CANCELLED, status_at=now, held_reason=None)


async def _redirect(delivery: Delivery, domain_hmac: str, now: datetime) -> None:
    """Move a delivery to another domain, and schedule it unless it is held for a reason not about its address."""
    changed: dict[str, Any] = {"domain_hmac": domain_hmac}
    held_otherwise = delivery.status is Status.HELD and delivery.held_reason not in _ADDRESS_REASONS
    if delivery.status is not Status.UNCERTAIN and not held_otherwise:
        changed |= {
            "status": Status.SCHEDULED,
            "status_at": delivery.status_at if delivery.status is Status.SCHEDULED else now,
            "held_reason": None,
            "due_at": max(now, delivery.promised_at),
            # The old address's refusals do not count for the new one; unanswered attempts stay known (audit).
            "attempts": delivery.unanswered,
            "first_refused_at": None,
        }
    await Delivery.filter(id=delivery.id).update(**changed)
