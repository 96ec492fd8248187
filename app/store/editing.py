"""Editing a letter's text, names and dates until it is sealed."""

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
from app.errors import EditWindowClosed
from app.store.cipher import LetterCipher
from app.store.database import transaction
from app.store.execution import retried
from app.store.letters import letter_by_token
from app.store.models import Delivery, Letter
from app.store.posting import new_delivery
from app.store.quotas import Quotas
from app.store.sql import lock_deliveries

_PENDING = (Status.SCHEDULED, Status.HELD)
_LEAVING_OR_SENT = (Status.CLAIMED, Status.UNCERTAIN, Status.SENT)


@dataclass(frozen=True, slots=True)
class LetterEditor:
    cipher: LetterCipher
    message_domain: str
    quotas: Quotas | None = None

    @retried
    async def edit(self, token: str, draft: Draft, promise: Promise, now: datetime) -> None:
        """Replace a letter's text, names and dates; its address and language stay.

        If the sent receipt named other dates, another one follows once the letter is sealed.

        Updates are conditional on each delivery's state, as claims are, so a letter claimed at this
        moment is sent unchanged. Raises LetterNotFound, and EditWindowClosed with nothing changed.
        """
        letter = await letter_by_token(token)
        if letter.sealed_at is None:
            raise _sealed()
        values = {name: getattr(draft, name) for name in ("body", "subject", "recipient_name", "sender_name")}
        sealed_at = min(letter.sealed_at, promise.first)
        old_dates = (letter.send_at, letter.second_send_at, letter.timezone)
        async with transaction():
            await lock_deliveries(Delivery.filter(letter_id=letter.id))
            await _move(letter.id, Occasion.FIRST, promise.first)
            await self._move_second(letter.id, promise.second, now)
            still_open = Letter.filter(id=letter.id, purged_at=None, sealed_at__gt=now)
            changed = await revise(
                self.cipher,
                still_open,
                values,
                timezone=draft.timezone,
                send_at=promise.first,
                second_send_at=promise.second,
                sealed_at=sealed_at,
            )
            if not changed:
                raise _sealed()
            if old_dates != (promise.first, promise.second, draft.timezone):
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
            await self._second(first, arrives, now).save(force_create=True)

    async def _renew_receipt(self, letter: Letter, sealed_at: datetime, now: datetime) -> None:
        """Schedule another receipt if one was sent; an unsent one will name the new dates."""
        last = await Delivery.filter(letter_id=letter.id, occasion=Occasion.RECEIPT).order_by("-edition").first()
        if last is None or last.status not in _LEAVING_OR_SENT:
            return
        if self.quotas and letter.sender_hmac:
            (allowed,) = await self.quotas.take_notices([letter.sender_hmac], now, important=False)
            if not allowed:
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

    def _second(self, first: Delivery, arrives: datetime, now: datetime) -> Delivery:
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
    """Change the promised date; where the operator chose another `due_at`, that is kept."""
    pending = Delivery.filter(letter_id=letter_id, occasion=occasion, status__in=_PENDING)
    await pending.filter(due_at=F("promised_at")).update(due_at=arrives)
    if not await pending.update(promised_at=arrives):
        raise _sealed()


def _sealed() -> EditWindowClosed:
    return EditWindowClosed("this letter is sealed, or is being sent at this moment")


async def revise(cipher: LetterCipher, letters: QuerySet[Letter], sealed: Mapping[str, str], **columns: Any) -> int:
    """Update `sealed` values and other `columns` of the letter that `letters` finds. Returns 0 where there is none.

    To be called in a transaction that has locked the letter's deliveries: a concurrent change would
    be overwritten. Raises KeyMissing where the letter does not open.
    """
    rows = await letters.values()
    if not rows:
        return 0
    return await letters.update(**cipher.revise_letter(rows[0], sealed), **columns)
