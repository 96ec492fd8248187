"""The writer's operations: posting a letter, finding it by its link, withdrawing it."""

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
    """`token` is not stored in clear. `notice`: a notice about the letter is due at once."""

    token: str
    send_at: datetime
    second_send_at: datetime | None
    status: Status
    notice: bool


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """`reason` classifies the last attempt, if that was refused. `stopped`: cancelled by its reader."""

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
    """A letter as its own page shows it; `deliveries` without notices."""

    draft: Draft
    written_at: datetime
    send_at: datetime
    second_send_at: datetime | None
    sealed_at: datetime | None
    confirmed_at: datetime | None
    deliveries: tuple[DeliveryState, ...]

    @property
    def is_unconfirmed(self) -> bool:
        return any(delivery.held_reason is HeldReason.UNCONFIRMED for delivery in self.deliveries)

    @property
    def status(self) -> Status:
        states = {delivery.occasion: delivery.status for delivery in self.deliveries}
        return letter_status(states[Occasion.FIRST], states.get(Occasion.SECOND))

    def is_open(self, now: datetime) -> bool:
        return is_open(self.sealed_at, [delivery.status for delivery in self.deliveries], now)

    def is_readable(self, now: datetime) -> bool:
        return is_readable(self.sealed_at, [delivery.status for delivery in self.deliveries], now)


async def letter_by_token(token: str) -> Letter:
    """Raises LetterNotFound, for a purged letter too."""
    return await letter_by(token_hash=token_hash(token), purged_at=None)


async def letter_by(**filters: Any) -> Letter:
    letter = await Letter.get_or_none(**filters)
    if letter is None:
        raise LetterNotFound("there is no such letter, or not any more")
    return letter


class Letters:
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
        """`message_domain`: the domain of our Message-IDs, that of our sender.

        With `confirmations` no letter is sent before its address confirms. A letter may be changed for
        `edit_window` after it was written.
        """
        self._cipher = cipher
        self._first_delay = first_delay
        self._second_delay = second_delay
        self._message_domain = message_domain
        self._edit_window = edit_window
        self._quotas = quotas
        self._confirmations = confirmations

    async def post(
        self, draft: Draft, now: datetime, promise: Promise | None = None, clients: Sequence[str] = ()
    ) -> Posted:
        """Store a letter with its deliveries, all or nothing; without a promise it arrives after the default delays.

        `clients` are the client's network and wider ones around it, as quotas count them. Raises
        LimitExceeded; a letter over an address's quota is held instead, with the same answer.
        """
        promise = promise or self._default_promise(now, ZoneInfo(draft.timezone))
        token = new_token()
        letter = self._letter(draft, token, now)
        letter.send_at, letter.second_send_at = promise.first, promise.second
        letter.sealed_at = min(now + self._edit_window, promise.first)
        deliveries = self._deliveries(letter, draft, now)
        has_checks = self._quotas or self._confirmations
        await store(letter, deliveries, partial(self._check_limits, letter, clients, now) if has_checks else None)
        notice = any(delivery.notice for delivery in deliveries) or self._confirmations is not None
        status = Status.HELD if self._confirmations else Status.SCHEDULED
        return Posted(token, letter.send_at, letter.second_send_at, status, notice)

    async def _check_limits(self, letter: Letter, clients: Sequence[str], now: datetime) -> None:
        hmacs = [self._cipher.client_hmac(client) for client in clients]
        over_quota = self._quotas is not None and await self._quotas.take(letter, hmacs, now)
        if self._confirmations:
            await self._confirmations.require(letter, now)
        elif self._quotas and letter.sender_hmac:
            (allowed,) = await self._quotas.take_notices([letter.sender_hmac], now, important=False)
            if not allowed:
                receipts = Delivery.filter(letter_id=letter.id, occasion=Occasion.RECEIPT)
                await receipts.update(status=Status.CANCELLED, status_at=now)
        if over_quota:
            await hold_over_quota(letter.id, now)

    def _default_promise(self, now: datetime, zone: ZoneInfo) -> Promise:
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
        planned = [(Occasion.FIRST, letter.send_at, draft.recipient_email)]
        if letter.second_send_at:
            planned.append((Occasion.SECOND, letter.second_send_at, draft.recipient_email))
        if draft.sender_email:
            planned.append((Occasion.RECEIPT, now, draft.sender_email))
        return [
            new_delivery(
                letter.id,
                occasion,
                due_at,
                now,
                domain_hmac=self._cipher.domain_hmac(address),
                message_domain=self._message_domain,
            )
            for occasion, due_at, address in planned
        ]

    async def find(self, token: str, now: datetime | None = None) -> StoredLetter:
        """With `now` the result shows a hold for a quota only once the letter is due.

        Raises LetterNotFound, and KeyMissing where the letter cannot be opened.
        """
        letter = await letter_by_token(token)
        deliveries = await Delivery.filter(letter_id=letter.id, notice=False).order_by("promised_at")
        ids = [delivery.id for delivery in deliveries]
        attempts = await Attempt.filter(delivery_id__in=ids).order_by("id")
        replies = {each.delivery_id: _reply(each) for each in attempts if each.code}
        reasons = {each.delivery_id: each.reason for each in attempts}
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
        """Cancel all unsent deliveries of a letter, or none. It is idempotent.

        Raises LetterNotFound, and NotWithdrawable where all were sent or one is claimed: if that one
        were refused, it would be tried again.
        """
        letter = await letter_by_token(token)
        of_letter = Delivery.filter(letter_id=letter.id)
        promised = of_letter.filter(notice=False)
        waiting = [Status.SCHEDULED, Status.HELD, Status.FAILED]
        # Deliveries that the reader stopped are withdrawn too, so that the stop cannot be taken back.
        stopped = Q(status=Status.CANCELLED, status_at=letter.stopped_at)
        async with transaction():
            await lock_deliveries(Delivery.filter(letter_id=letter.id))
            cancelled = {"status": Status.CANCELLED, "status_at": now, "held_reason": None}
            await promised.filter(stopped | Q(status__in=waiting)).update(**cancelled)
            # A receipt not sent yet would announce a letter that will not arrive.
            unsent = Q(occasion=Occasion.RECEIPT, status=Status.SCHEDULED) | Q(held_reason=HeldReason.UNCONFIRMED)
            await of_letter.filter(unsent).update(**cancelled)
            blocking = await promised.filter(status__in=[*waiting, Status.CLAIMED]).exists()
            if blocking or not await promised.filter(status=Status.CANCELLED).exists():
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
