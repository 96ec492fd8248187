"""Posting a letter, looking it up by its link, calling it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from tortoise.expressions import Q

from app.crypto import new_token, token_hash
from app.domain.letter import Draft, is_open, is_readable
from app.domain.refusal import Reason
from app.domain.retry import Reply
from app.domain.schedule import Delay, Promise, arrival
from app.domain.status import HeldReason, Occasion, Status, letter_status, shown
from app.errors import LetterNotFound, NotWithdrawable
from app.store.cipher import LetterCipher
from app.store.confirmation import Confirmations
from app.store.database import transaction
from app.store.execution import retried
from app.store.models import Attempt, Delivery, Letter
from app.store.posting import new_delivery, new_row_id, store
from app.store.quotas import Quotas, hold_over_quota
from app.store.sql import lock_deliveries


@dataclass(frozen=True, slots=True)
class Posted:
    """What the writer gets back. `token` is known to nobody else, and not stored in clear.

    `notice`: a notice about it is due at once.
    """

    token: str
    send_at: datetime
    second_send_at: datetime | None
    status: Status
    notice: bool


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """Where one delivery stands; `last_reply` is what the mail server said last, if anything.

    `reason` is what was judged of the last try, if that was refused.
    `stopped`: it was cancelled by its reader.
    """

    occasion: Occasion
    status: Status
    status_at: datetime
    promised_at: datetime
    due_at: datetime
    sent_at: datetime | None
    held_reason: HeldReason | None
    attempts: int
    last_reply: Reply | None
    reason: Reason | None
    stopped: bool


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A letter as its own page shows it. `deliveries` are those to its reader, first and second."""

    draft: Draft
    written_at: datetime
    send_at: datetime
    second_send_at: datetime | None
    sealed_at: datetime | None
    confirmed_at: datetime | None
    deliveries: tuple[DeliveryState, ...]

    @property
    def is_unconfirmed(self) -> bool:
        """Whether it waits for somebody to confirm it."""
        return any(delivery.held_reason is HeldReason.UNCONFIRMED for delivery in self.deliveries)

    @property
    def status(self) -> Status:
        states = {delivery.occasion: delivery.status for delivery in self.deliveries}
        return letter_status(states[Occasion.FIRST], states.get(Occasion.SECOND))

    def is_open(self, now: datetime) -> bool:
        """Return whether its writer may still read and change it."""
        return is_open(self.sealed_at, [delivery.status for delivery in self.deliveries], now)

    def is_readable(self, now: datetime) -> bool:
        """Return whether its writer may read it."""
        return is_readable(self.sealed_at, [delivery.status for delivery in self.deliveries], now)


async def letter_by_token(token: str) -> Letter:
    """Return the letter of its writer's link. Raises LetterNotFound where it was purged, too."""
    return await letter_by(token_hash=token_hash(token), purged_at=None)


async def letter_by(**filters: Any) -> Letter:
    """Return the letter that matches. Raises LetterNotFound."""
    letter = await Letter.get_or_none(**filters)
    if letter is None:
        raise LetterNotFound("there is no such letter, or not any more")
    return letter


class Letters:
    """The writer's side of the ledger."""

    def __init__(
        self,
        cipher: LetterCipher,
        *,
        first_delay: Delay,
        second_delay: Delay,
        message_domain: str,
        edit_window: timedelta = timedelta(),
        quotas: Quotas | None = None,
        confirmations: Confirmations | None = None,
    ) -> None:
        """Take when letters arrive, and the domain of our Message-IDs (that of our sender).

        `quotas` say how many letters we take; with `confirmations` nothing leaves before its address confirms.
        A letter may be changed for `edit_window` after it was written.
        """
        self._cipher = cipher
        self._first_delay = first_delay
        self._second_delay = second_delay
        self._message_domain = message_domain
        self._sealing_period = edit_window
        self._quotas = quotas
        self._confirmations = confirmations

    async def post(
        self, draft: Draft, now: datetime, promise: Promise | None = None, clients: Sequence[str] = ()
    ) -> Posted:
        """Store a letter together with its deliveries, all or nothing; without a promise it arrives as usual.

        `clients` are the client's network and wider ones around it, as quotas count them. Raises
        LimitExceeded where a quota is used up; one beyond an address's quota is held, and answered the same.
        """
        promise = promise or self._usual(now, ZoneInfo(draft.timezone))
        token = new_token()
        letter = self._letter(draft, token, now)
        letter.send_at, letter.second_send_at = promise.first, promise.second
        letter.sealed_at = min(now + self._sealing_period, promise.first)
        deliveries = self._deliveries(letter, draft, now)
        follows = self._quotas or self._confirmations
        await store(letter, deliveries, partial(self._follow, letter, clients, now) if follows else None)
        notice = any(delivery.notice for delivery in deliveries) or self._confirmations is not None
        status = Status.HELD if self._confirmations else Status.SCHEDULED
        return Posted(token, letter.send_at, letter.second_send_at, status, notice)

    async def _follow(self, letter: Letter, clients: Sequence[str], now: datetime) -> None:
        hmacs = [self._cipher.client_hmac(client) for client in clients]
        over = self._quotas is not None and await self._quotas.take(letter, hmacs, now)
        if self._confirmations:
            await self._confirmations.require(letter, now)
        elif self._quotas and letter.sender_hmac:
            (told,) = await self._quotas.take_notices([letter.sender_hmac], now, important=False)
            if not told:
                receipts = Delivery.filter(letter_id=letter.id, occasion=Occasion.RECEIPT)
                await receipts.update(status=Status.CANCELLED, status_at=now)
        if over:
            await hold_over_quota(letter.id, now)

    def _usual(self, now: datetime, zone: ZoneInfo) -> Promise:
        return Promise(arrival(now, self._first_delay, zone), arrival(now, self._second_delay, zone))

    def _letter(self, draft: Draft, token: str, now: datetime) -> Letter:
        letter_id, revision = new_row_id(now), 1
        sealed = self._cipher.seal_letter(
            letter_id,
            revision,
            {
                "token": token,
                "recipient_email": draft.recipient_email,
                "recipient_name": draft.recipient_name,
                "sender_email": draft.sender_email,
                "sender_name": draft.sender_name,
                "subject": draft.subject,
                "body": draft.body,
            },
        )
        reader = self._cipher.address_hmac(draft.recipient_email)
        return Letter(
            id=letter_id,
            revision=revision,
            token_hash=token_hash(token),
            reader_token_hash=token_hash(self._cipher.reader_token(letter_id, reader)),
            recipient_hmac=reader,
            recipient_domain_hmac=self._cipher.domain_hmac(draft.recipient_email),
            sender_hmac=self._cipher.address_hmac(draft.sender_email) if draft.sender_email else None,
            language=draft.language,
            timezone=draft.timezone,
            written_at=now,
            **sealed,
        )

    def _deliveries(self, letter: Letter, draft: Draft, now: datetime) -> list[Delivery]:
        wanted = [(Occasion.FIRST, letter.send_at, draft.recipient_email)]
        if letter.second_send_at:
            wanted.append((Occasion.SECOND, letter.second_send_at, draft.recipient_email))
        if draft.sender_email:
            wanted.append((Occasion.RECEIPT, now, draft.sender_email))
        return [
            new_delivery(
                letter.id,
                occasion,
                due_at,
                now,
                domain_hmac=self._cipher.domain_hmac(address),
                message_domain=self._message_domain,
            )
            for occasion, due_at, address in wanted
        ]

    async def find(self, token: str, now: datetime | None = None) -> StoredLetter:
        """Return the letter of a link; with `now` it tells that it is held for a quota once it is due.

        Raises LetterNotFound where there is none, KeyMissing where it cannot be opened.
        """
        letter = await letter_by_token(token)
        deliveries = await Delivery.filter(letter_id=letter.id, notice=False).order_by("promised_at")
        ids = [delivery.id for delivery in deliveries]
        tries = await Attempt.filter(delivery_id__in=ids).order_by("id")
        replies = {each.delivery_id: _reply(each) for each in tries if each.code}
        reasons = {each.delivery_id: each.reason for each in tries}
        values = self._cipher.open_letter(vars(letter))
        values.pop("token")
        return StoredLetter(
            draft=Draft(timezone=letter.timezone, language=letter.language, **values),
            written_at=letter.written_at,
            send_at=letter.send_at,
            second_send_at=letter.second_send_at,
            sealed_at=letter.sealed_at,
            confirmed_at=letter.confirmed_at,
            deliveries=tuple(
                _state(each, replies.get(each.id), reasons.get(each.id), letter.stopped_at, now) for each in deliveries
            ),
        )

    @retried
    async def withdraw(self, token: str, now: datetime) -> None:
        """Cancel all of a letter that has not left yet, or nothing. Twice is the same as once.

        Raises LetterNotFound where there is no such letter, and NotWithdrawable where all of it
        has left, or part of it is being handed over at this moment: were that refused, it would
        be tried again.
        """
        letter = await letter_by_token(token)
        of_letter = Delivery.filter(letter_id=letter.id)
        promised = of_letter.filter(notice=False)
        waiting = [Status.SCHEDULED, Status.HELD, Status.FAILED]
        # What its reader stopped is withdrawn too: from now on the reader cannot take that back.
        stopped = Q(status=Status.CANCELLED, status_at=letter.stopped_at)
        async with transaction():
            await lock_deliveries(Delivery.filter(letter_id=letter.id))
            gone = {"status": Status.CANCELLED, "status_at": now, "held_reason": None}
            await promised.filter(stopped | Q(status__in=waiting)).update(**gone)
            # A receipt that still waits would speak of a letter that is not to come.
            unsent = Q(occasion=Occasion.RECEIPT, status=Status.SCHEDULED) | Q(held_reason=HeldReason.UNCONFIRMED)
            await of_letter.filter(unsent).update(**gone)
            leaving = await promised.filter(status__in=[*waiting, Status.CLAIMED]).exists()
            if leaving or not await promised.filter(status=Status.CANCELLED).exists():
                raise NotWithdrawable("this letter has left already, or is leaving at this moment")


def _reply(attempt: Attempt) -> Reply:
    return Reply(attempt.code or 0, attempt.enhanced, attempt.answer, "body" if attempt.handed_over_at else "rcpt")


def _state(
    delivery: Delivery,
    last_reply: Reply | None,
    reason: Reason | None,
    stopped_at: datetime | None,
    now: datetime | None,
) -> DeliveryState:
    status, held_reason = shown(delivery.status, delivery.held_reason, delivery.due_at, now or delivery.status_at)
    return DeliveryState(
        occasion=delivery.occasion,
        status=status,
        status_at=delivery.status_at,
        promised_at=delivery.promised_at,
        due_at=delivery.due_at,
        sent_at=delivery.sent_at,
        held_reason=held_reason,
        attempts=delivery.attempts,
        last_reply=last_reply,
        reason=reason,
        stopped=delivery.status is Status.CANCELLED and delivery.status_at == stopped_at,
    )
