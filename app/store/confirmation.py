"""Asking an address whether letters may be sent under it, and what comes of its answer (docs/standards.md P1).

No address stays confirmed: each letter waits for a click that comes after it. That is what keeps a
stranger from writing under somebody's address on a day on which they confirmed a letter of their
own, and from learning by a letter's page that they did (P3).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tortoise.expressions import Q

from app.crypto import token_hash
from app.domain.status import HeldReason, Occasion, Status
from app.errors import LetterNotFound
from app.store.cipher import LetterCipher
from app.store.database import as_parameter, connection, transaction
from app.store.execution import retried
from app.store.models import Confirmation, Delivery, Letter
from app.store.posting import new_delivery
from app.store.quotas import Quotas, hold_over_quota, lock_addresses
from app.store.sql import lock_deliveries, numbered

LINK_LIFETIME = timedelta(hours=48)
"""How long a link lives once its mail has left; what it would have freed is cancelled then."""

_DAY = timedelta(days=1)
_BATCH = 500
_UNSENT = (Status.SCHEDULED, Status.CLAIMED)
_WAITING = Q(status=Status.HELD, held_reason=HeldReason.UNCONFIRMED)
# A link that is yet to be sent, for an outage or the day that must pass, has not begun to live.
_GIVEN_UP = """
    SELECT id FROM deliveries AS waiting
    WHERE held_reason = 'unconfirmed' AND status_at <= @2 AND NOT EXISTS (
        SELECT 1 FROM confirmations JOIN deliveries AS notice ON notice.id = notice_id
        WHERE address_hmac = waiting.awaited_hmac AND used_at IS NULL
            AND (notice.status IN ('scheduled', 'claimed') OR notice.status_at > @2)
    )
    ORDER BY status_at LIMIT {limit}
"""
_CANCEL = {
    "sqlite": f"""
        UPDATE deliveries SET status = 'cancelled', status_at = @1, held_reason = NULL WHERE id IN ({_GIVEN_UP})
        RETURNING id
    """,  # noqa: S608 - of constants
    # An array, and what somebody confirms at this moment is skipped: see the claim in `statements`.
    "postgres": f"""
        UPDATE deliveries SET status = 'cancelled', status_at = @1, held_reason = NULL
        WHERE id = ANY (ARRAY ({_GIVEN_UP} FOR UPDATE SKIP LOCKED))
        RETURNING id
    """,  # noqa: S608
}


class ConfirmationLink(StrEnum):
    """What has become of a confirmation's link."""

    LIVE = "live"
    USED = "used"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Asks addresses; `message_domain` is that of our Message-IDs."""

    cipher: LetterCipher
    message_domain: str
    quotas: Quotas | None = None

    async def require(self, letter: Letter, now: datetime) -> None:
        """Hold all of a letter that is scheduled until its address confirms, and ask that address.

        It is the writer's, or the reader's where the writer gave none. Within the transaction that
        stores the letter, or gives it another address.
        """
        address_hmac = letter.sender_hmac or letter.recipient_hmac
        await lock_addresses(address_hmac)
        await Delivery.filter(Q(status=Status.SCHEDULED) | _WAITING, letter_id=letter.id).update(
            status=Status.HELD, status_at=now, held_reason=HeldReason.UNCONFIRMED, awaited_hmac=address_hmac
        )
        await Letter.filter(id=letter.id).exclude(confirmed_at=None).update(confirmed_at=None)
        if at := await _next_question(address_hmac, now):
            await self._ask(letter, address_hmac, at, now)

    async def renew(self, letter: Letter, now: datetime) -> None:
        """Ask another address about a letter that was corrected, and no longer the one that was asked before.

        Other letters that waited for the same mail get one of their own.
        """
        unsent = Confirmation.filter(
            notice__letter_id=letter.id, notice__status=Status.SCHEDULED, used_at=None
        ).select_related("notice")
        open_questions = sorted(await unsent, key=lambda question: question.address_hmac)
        await Delivery.filter(id__in=[each.notice_id for each in open_questions]).update(
            status=Status.CANCELLED, status_at=now
        )
        await self.require(letter, now)
        for question in open_questions:
            if other := await Delivery.filter(_WAITING, awaited_hmac=question.address_hmac).order_by("id").first():
                await self._ask(await Letter.get(id=other.letter_id), question.address_hmac, question.asked_at, now)

    async def _ask(self, letter: Letter, address_hmac: str, at: datetime, now: datetime) -> None:
        if self.quotas:
            at = await self.quotas.notice_at(address_hmac, at)
        address = self.cipher.open_column(letter.id, letter.revision, "sender_email", letter.sender_email_sealed)
        notice = new_delivery(
            letter.id,
            Occasion.CONFIRMATION,
            at,
            now,
            domain_hmac=self.cipher.domain_hmac(address) if address else letter.recipient_domain_hmac or "",
            message_domain=self.message_domain,
        )
        notice.edition = 1 + await Delivery.filter(letter_id=letter.id, occasion=Occasion.CONFIRMATION).count()
        await notice.save()
        token = self.cipher.confirmation_token(notice.message_id)
        await Confirmation.create(
            address_hmac=address_hmac, token_hash=token_hash(token), notice_id=notice.id, asked_at=at
        )


async def _next_question(address_hmac: str, now: datetime) -> datetime | None:
    """Return when an address is asked again, once a day at most; None where an open question does for this letter."""
    last = await Confirmation.filter(address_hmac=address_hmac).order_by("-id").first().select_related("notice")
    if last is None or last.notice.status is Status.CANCELLED or last.asked_at <= now - _DAY:
        return now
    return last.asked_at + _DAY if last.used_at else None


async def link_state(token: str, now: datetime) -> ConfirmationLink:
    """Return whether a link still confirms. Raises LetterNotFound."""
    return _state(await _by_token(token), now)


@retried
async def confirm(token: str, now: datetime) -> ConfirmationLink:
    """Free all that waits for the address of a link; what was promised for earlier is due now.

    A link works once: a second time nothing happens. Returns what it was before. Raises LetterNotFound.
    """
    found = await _by_token(token)
    link = _state(found, now)
    if link is not ConfirmationLink.LIVE:
        return link
    async with transaction():
        if not await Confirmation.filter(id=found.id, used_at=None).update(used_at=now):
            return ConfirmationLink.USED
        await lock_addresses(found.address_hmac)  # what is posted at this moment either is freed, or asks anew
        rows = await lock_deliveries(Delivery.filter(_WAITING, awaited_hmac=found.address_hmac).only("id", "letter_id"))
        letters = Letter.filter(id__in=sorted({each.letter_id for each in rows}))
        await letters.update(confirmed_at=now)
        freed = Delivery.filter(id__in=[each.id for each in rows])
        await freed.filter(due_at__lt=now).update(due_at=now)
        await freed.update(status=Status.SCHEDULED, status_at=now, held_reason=None, awaited_hmac=None)
        for (letter_id,) in await letters.filter(over_quota=True).values_list("id"):
            await hold_over_quota(letter_id, now)
    return link


async def cancel_unconfirmed(now: datetime) -> list[int]:
    """Cancel what waited for a link in vain. Returns which deliveries, a batch at most."""
    client = connection()
    sql = numbered(_CANCEL[client.capabilities.dialect].format(limit=_BATCH))
    cancelled = await client.execute_query_dict(sql, [as_parameter(now), as_parameter(now - LINK_LIFETIME)])
    return [row["id"] for row in cancelled]


async def _by_token(token: str) -> Confirmation:
    found = await Confirmation.filter(token_hash=token_hash(token)).select_related("notice").first()
    if found is None:
        raise LetterNotFound("there is nothing to confirm under this link")
    return found


def _state(found: Confirmation, now: datetime) -> ConfirmationLink:
    if found.used_at:
        return ConfirmationLink.USED
    lives = found.notice.status in _UNSENT or found.notice.status_at > now - LINK_LIFETIME
    return ConfirmationLink.LIVE if lives else ConfirmationLink.EXPIRED
