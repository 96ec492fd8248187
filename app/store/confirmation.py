"""Double opt-in: an address confirms before letters are sent under it (docs/standards.md P1).

No address stays confirmed: each letter waits for a click after it was posted. Otherwise a stranger
could write under an address on a day when its owner confirmed a letter, and could learn that from
the letter's page (P3).
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
"""How long a link is valid after its mail was sent; the deliveries that wait for it are cancelled then."""

_DAY = timedelta(days=1)
_BATCH = 500
_UNSENT = (Status.SCHEDULED, Status.CLAIMED)
_WAITING = Q(status=Status.HELD, held_reason=HeldReason.UNCONFIRMED)
# The lifetime of a link whose mail is still scheduled (outage, one mail a day) has not begun.
_EXPIRED = """
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
        UPDATE deliveries SET status = 'cancelled', status_at = @1, held_reason = NULL WHERE id IN ({_EXPIRED})
        RETURNING id
    """,  # noqa: S608 - of constants
    # An array, for its plan; rows that are being confirmed are skipped: see the claim in `sql.statements`.
    "postgres": f"""
        UPDATE deliveries SET status = 'cancelled', status_at = @1, held_reason = NULL
        WHERE id = ANY (ARRAY ({_EXPIRED} FOR UPDATE SKIP LOCKED))
        RETURNING id
    """,  # noqa: S608
}


class ConfirmationLink(StrEnum):
    LIVE = "live"
    USED = "used"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Sends confirmation mails; `message_domain` is the domain of Message-IDs."""

    cipher: LetterCipher
    message_domain: str
    quotas: Quotas | None = None

    async def require(self, letter: Letter, now: datetime) -> None:
        """Hold a letter's scheduled deliveries until an address confirms: the writer's, or else the reader's.

        To be called in the transaction that stores the letter or changes its address.
        """
        address_hmac = letter.sender_hmac or letter.recipient_hmac
        await lock_addresses(address_hmac)
        await Delivery.filter(Q(status=Status.SCHEDULED) | _WAITING, letter_id=letter.id).update(
            status=Status.HELD, status_at=now, held_reason=HeldReason.UNCONFIRMED, awaited_hmac=address_hmac
        )
        await Letter.filter(id=letter.id).exclude(confirmed_at=None).update(confirmed_at=None)
        if at := await _next_request_at(address_hmac, now):
            await self._ask(letter, address_hmac, at, now)

    async def renew(self, letter: Letter, now: datetime) -> None:
        """Ask the new address of a corrected letter instead of the old one.

        Other letters that waited for the cancelled mail get a mail of their own.
        """
        unsent = Confirmation.filter(
            notice__letter_id=letter.id, notice__status=Status.SCHEDULED, used_at=None
        ).select_related("notice")
        cancelled = sorted(await unsent, key=lambda each: each.address_hmac)
        await Delivery.filter(id__in=[each.notice_id for each in cancelled]).update(
            status=Status.CANCELLED, status_at=now
        )
        await self.require(letter, now)
        for request in cancelled:
            if other := await Delivery.filter(_WAITING, awaited_hmac=request.address_hmac).order_by("id").first():
                await self._ask(await Letter.get(id=other.letter_id), request.address_hmac, request.asked_at, now)

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


async def _next_request_at(address_hmac: str, now: datetime) -> datetime | None:
    """Return when to ask an address, at most once a day; None where an open request covers this letter too."""
    last = await Confirmation.filter(address_hmac=address_hmac).order_by("-id").first().select_related("notice")
    if last is None or last.notice.status is Status.CANCELLED or last.asked_at <= now - _DAY:
        return now
    return last.asked_at + _DAY if last.used_at else None


async def link_state(token: str, now: datetime) -> ConfirmationLink:
    return _state(await _by_token(token), now)


@retried
async def confirm(token: str, now: datetime) -> ConfirmationLink:
    """Schedule all deliveries that wait for the address of a link; those promised for earlier are due now.

    A link works once. Returns its state before. Raises LetterNotFound.
    """
    confirmation = await _by_token(token)
    link = _state(confirmation, now)
    if link is not ConfirmationLink.LIVE:
        return link
    async with transaction():
        if not await Confirmation.filter(id=confirmation.id, used_at=None).update(used_at=now):
            return ConfirmationLink.USED
        await lock_addresses(confirmation.address_hmac)  # a concurrent post is either confirmed too, or asks again
        rows = await lock_deliveries(
            Delivery.filter(_WAITING, awaited_hmac=confirmation.address_hmac).only("id", "letter_id")
        )
        letters = Letter.filter(id__in=sorted({each.letter_id for each in rows}))
        await letters.update(confirmed_at=now)
        confirmed = Delivery.filter(id__in=[each.id for each in rows])
        await confirmed.filter(due_at__lt=now).update(due_at=now)
        await confirmed.update(status=Status.SCHEDULED, status_at=now, held_reason=None, awaited_hmac=None)
        for (letter_id,) in await letters.filter(over_quota=True).values_list("id"):
            await hold_over_quota(letter_id, now)
    return link


async def cancel_unconfirmed(now: datetime) -> list[int]:
    client = connection()
    sql = numbered(_CANCEL[client.capabilities.dialect].format(limit=_BATCH))
    cancelled = await client.execute_query_dict(sql, [as_parameter(now), as_parameter(now - LINK_LIFETIME)])
    return [row["id"] for row in cancelled]


async def _by_token(token: str) -> Confirmation:
    confirmation = await Confirmation.filter(token_hash=token_hash(token)).select_related("notice").first()
    if confirmation is None:
        raise LetterNotFound("there is nothing to confirm under this link")
    return confirmation


def _state(confirmation: Confirmation, now: datetime) -> ConfirmationLink:
    if confirmation.used_at:
        return ConfirmationLink.USED
    notice = confirmation.notice
    live = notice.status in _UNSENT or notice.status_at > now - LINK_LIFETIME
    return ConfirmationLink.LIVE if live else ConfirmationLink.EXPIRED
