"""One delivery for the operator: its envelope and history, never its text."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise.expressions import RawSQL

from app.domain.refusal import Reason
from app.domain.status import AttemptResult
from app.store.cipher import LetterCipher
from app.store.delivery_list import ListRow, masked_address, rows_of
from app.store.models import Attempt, Delivery
from app.store.sql import REPLY_TEXT

_ATTEMPT_LIMIT = 200


@dataclass(frozen=True, slots=True)
class AttemptView:
    """`handed_over_at`: from then on the server may have the text."""

    worker_name: str
    started_at: datetime
    handed_over_at: datetime | None
    ended_at: datetime
    outcome: AttemptResult
    reply: str
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class ClaimView:
    worker_name: str
    claimed_at: datetime
    handed_over_at: datetime | None


@dataclass(frozen=True, slots=True)
class LetterView:
    """`sender` is masked as in `ListRow`, and empty where none was given."""

    id: UUID
    written_at: datetime
    send_at: datetime
    second_send_at: datetime | None
    sender: str | None
    language: str
    timezone: str
    purged_at: datetime | None
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """`attempts` are the newest 200, oldest first; `siblings` are the letter's other deliveries."""

    row: ListRow
    message_id: str
    sent_at: datetime | None
    first_refused_at: datetime | None
    unanswered: int
    claim: ClaimView | None
    letter: LetterView
    attempts: tuple[AttemptView, ...]
    siblings: tuple[ListRow, ...]


async def delivery_details(cipher: LetterCipher, delivery_id: int) -> DeliveryDetails | None:
    delivery = await Delivery.get_or_none(id=delivery_id).select_related("letter", "claimed_by")
    if delivery is None:
        return None
    all_ids = await Delivery.filter(letter_id=delivery.letter_id).order_by("promised_at", "id").values_list("id")
    rows = {row.id: row for row in await rows_of(cipher, [each for (each,) in all_ids])}
    return DeliveryDetails(
        row=rows.pop(delivery_id),
        message_id=delivery.message_id,
        sent_at=delivery.sent_at,
        first_refused_at=delivery.first_refused_at,
        unanswered=delivery.unanswered,
        claim=_claim(delivery),
        letter=_letter(cipher, delivery),
        attempts=await _attempts(delivery_id),
        siblings=tuple(rows.values()),
    )


def _claim(delivery: Delivery) -> ClaimView | None:
    worker = delivery.claimed_by
    return ClaimView(worker.name, delivery.status_at, delivery.handed_over_at) if worker else None


def _letter(cipher: LetterCipher, delivery: Delivery) -> LetterView:
    letter = delivery.letter
    return LetterView(
        id=letter.id,
        written_at=letter.written_at,
        send_at=letter.send_at,
        second_send_at=letter.second_send_at,
        sender=masked_address(cipher, letter.id, letter.revision, "sender_email", letter.sender_email_sealed),
        language=letter.language,
        timezone=letter.timezone,
        purged_at=letter.purged_at,
        stopped_at=letter.stopped_at,
    )


async def _attempts(delivery_id: int) -> tuple[AttemptView, ...]:
    names = ("worker_name", "started_at", "handed_over_at", "ended_at", "outcome", "reply", "reason")
    attempts = Attempt.filter(delivery_id=delivery_id).annotate(reply=RawSQL(REPLY_TEXT))
    newest = await attempts.order_by("-id").limit(_ATTEMPT_LIMIT).values(*names)
    return tuple(AttemptView(**each) for each in reversed(newest))
