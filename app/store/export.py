"""Data export of a letter for its writer (docs/standards.md P14)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.letter import is_readable
from app.domain.status import Occasion, Status, shown
from app.store.cipher import LetterCipher
from app.store.letters import letter_by_token
from app.store.models import Attempt, Correction, Delivery

_DELIVERY = (
    "occasion",
    "edition",
    "status",
    "status_at",
    "promised_at",
    "due_at",
    "sent_at",
    "message_id",
    "held_reason",
    "attempts",
    "unanswered",
    "first_refused_at",
)
_ATTEMPT = ("started_at", "handed_over_at", "ended_at", "outcome", "code", "enhanced", "answer", "reason")
_LETTER = (
    "language",
    "timezone",
    "written_at",
    "send_at",
    "second_send_at",
    "stopped_at",
    "confirmed_at",
    "sealed_at",
    "revision",
)
_CORRECTION = ("id", "recipient_hmac", "recipient_domain_hmac")
_HASHES = ("token_hash", "reader_token_hash", "recipient_hmac", "recipient_domain_hmac", "sender_hmac")


async def export(cipher: LetterCipher, token: str, now: datetime) -> dict[str, Any]:
    """Return a letter with its deliveries, attempts and hashes.

    `body` is None from when the letter is sealed until it has arrived once. Raises LetterNotFound and KeyMissing.
    """
    letter = await letter_by_token(token)
    deliveries = await Delivery.filter(letter_id=letter.id).order_by("id").values()
    row = vars(letter)
    values = cipher.open_letter(row)
    promised = [Status(each["status"]) for each in deliveries if not each["notice"]]
    readable = is_readable(letter.sealed_at, promised, now)
    return {
        **{name: values[name] for name in values if name not in ("token", "body")},
        "body": values["body"] if readable else None,
        **{name: row[name] for name in _LETTER},
        "deliveries": [await _delivery(each, now) for each in deliveries],
        "corrections": await Correction.filter(letter_id=letter.id).order_by("id").values(*_CORRECTION),
        "hashes": {name: row[name] for name in _HASHES},
    }


async def _delivery(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    row["status"], row["held_reason"] = shown(row["status"], row["held_reason"], row["due_at"], now)
    attempts = await Attempt.filter(delivery_id=row["id"]).order_by("id").values(*_ATTEMPT)
    return {name: row[name] for name in _DELIVERY} | {"tries": attempts}


_UNSENT = (Status.SCHEDULED, Status.CLAIMED, Status.UNCERTAIN, Status.HELD)


@dataclass(frozen=True, slots=True)
class Keepsake:
    """A letter after its last arrival. `arrived`: occasion, Message-ID and time of each sent delivery.

    `due_at` is that of the last unsent delivery. `values` are the opened columns by name, empty
    while a delivery is unsent or where none was sent.
    """

    language: str
    timezone: str
    written_at: datetime
    send_at: datetime
    second_send_at: datetime | None
    due_at: datetime | None
    arrived: tuple[tuple[Occasion, str, datetime], ...]
    values: dict[str, str]


async def keepsake(cipher: LetterCipher, token: str) -> Keepsake:
    letter = await letter_by_token(token)
    deliveries = await Delivery.filter(letter_id=letter.id, notice=False).order_by("promised_at")
    unsent = [delivery.due_at for delivery in deliveries if delivery.status in _UNSENT]
    arrived = [(each.occasion, each.message_id, each.sent_at) for each in deliveries if each.sent_at]
    return Keepsake(
        language=letter.language,
        timezone=letter.timezone,
        written_at=letter.written_at,
        send_at=letter.send_at,
        second_send_at=letter.second_send_at,
        due_at=max(unsent) if unsent else None,
        arrived=tuple(arrived),
        values=cipher.open_letter(vars(letter)) if arrived and not unsent else {},
    )
