"""Changing a letter until it is sealed: its text, names and days, but not whom it goes to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise.expressions import F
from tortoise.queryset import QuerySet

from app.domain.letter import Draft
from app.domain.schedule import Promise
from app.domain.status import Occasion, Status
from app.errors import Sealed
from app.store.cipher import LetterCipher
from app.store.database import transaction
from app.store.execution import retried
from app.store.letters import letter_by_token
from app.store.models import Delivery, Letter
from app.store.posting import new_delivery
from app.store.quotas import Quotas
from app.store.sql import lock_deliveries

_PENDING = (Status.SCHEDULED, Status.HELD)
_LEFT = (Status.CLAIMED, Status.UNCERTAIN, Status.SENT)


@dataclass(frozen=True, slots=True)
class LetterEditor:
    """Lets writers think again, for a while."""

    cipher: LetterCipher
    message_domain: str
    quotas: Quotas | None = None

    @retried
    async def edit(self, token: str, draft: Draft, promise: Promise, now: datetime) -> None:
        """Write a letter anew; it goes where and in the language it was to go, and arrives as promised now.

        A receipt that names other days is followed by one with these, once the letter is sealed.

        Each delivery is moved by its state, as the scan claims it by its state, so a letter that is
        leaving at this moment leaves as it was.

        Raises LetterNotFound, and Sealed where it is too late for a change; nothing has changed then.
        """
        letter = await letter_by_token(token)
        if letter.sealed_at is None:
            raise _sealed()
        texts = {name: getattr(draft, name) for name in ("body", "subject", "recipient_name", "sender_name")}
        sealed_at = min(letter.sealed_at, promise.first)
        told = (letter.send_at, letter.second_send_at, letter.timezone)
        async with transaction():
            await lock_deliveries(Delivery.filter(letter_id=letter.id))
            await _move(letter.id, Occasion.FIRST, promise.first)
            await self._move_second(letter.id, promise.second, now)
            still_open = Letter.filter(id=letter.id, purged_at=None, sealed_at__gt=now)
            changed = await revise(
                self.cipher,
                still_open,
                texts,
                timezone=draft.timezone,
                send_at=promise.first,
                second_send_at=promise.second,
                sealed_at=sealed_at,
            )
            if not changed:
                raise _sealed()
            if told != (promise.first, promise.second, draft.timezone):
                await self._renew_receipt(letter, sealed_at, now)

    async def _move_second(self, letter_id: UUID, arrives: datetime | None, now: datetime) -> None:
        seconds = Delivery.filter(letter_id=letter_id, occasion=Occasion.SECOND)
        if arrives is None:
            await seconds.filter(status__in=_PENDING, attempts=0).delete()
            if await seconds.exists():
                raise _sealed()
        elif await seconds.exists():
            await _move(letter_id, Occasion.SECOND, arrives)
        else:
            first = await Delivery.get(letter_id=letter_id, occasion=Occasion.FIRST)
            await self._like(first, arrives, now).save(force_create=True)

    async def _renew_receipt(self, letter: Letter, sealed_at: datetime, now: datetime) -> None:
        """Have a receipt follow the one that has left; one that has not will name the new days anyway."""
        last = await Delivery.filter(letter_id=letter.id, occasion=Occasion.RECEIPT).order_by("-edition").first()
        if last is None or last.status not in _LEFT:
            return
        if self.quotas and letter.sender_hmac:
            (may,) = await self.quotas.take_notices([letter.sender_hmac], now, important=False)
            if not may:
                return
        renewed = new_delivery(
            letter.id,
            Occasion.RECEIPT,
            sealed_at,
            now,
            domain_hmac=last.domain_hmac,
            message_domain=self.message_domain,
        )
        renewed.edition = last.edition + 1
        await renewed.save(force_create=True)

    def _like(self, first: Delivery, arrives: datetime, now: datetime) -> Delivery:
        """Return a second delivery, which waits for whatever the first waits for."""
        second = new_delivery(
            first.letter_id,
            Occasion.SECOND,
            arrives,
            now,
            domain_hmac=first.domain_hmac,
            message_domain=self.message_domain,
        )
        second.status, second.held_reason, second.awaited_hmac = first.status, first.held_reason, first.awaited_hmac
        return second


async def _move(letter_id: UUID, occasion: Occasion, arrives: datetime) -> None:
    """Promise a delivery for another moment; one that the operator sends sooner keeps its time."""
    pending = Delivery.filter(letter_id=letter_id, occasion=occasion, status__in=_PENDING)
    await pending.filter(due_at=F("promised_at")).update(due_at=arrives)
    if not await pending.update(promised_at=arrives):
        raise _sealed()


def _sealed() -> Sealed:
    return Sealed("this letter is sealed by now, or is leaving at this moment")


async def revise(cipher: LetterCipher, letters: QuerySet[Letter], fresh: Mapping[str, str], **others: Any) -> int:
    """Write `fresh` values into the letter that `letters` finds, and `others`, which are not sealed; 0: none is found.

    Within a transaction that holds the letter's deliveries: what somebody else changes at this
    moment would be written back as it was. Raises KeyMissing where the letter does not open.
    """
    found = await letters.values()
    if not found:
        return 0
    return await letters.update(**cipher.revise_letter(found[0], fresh), **others)
