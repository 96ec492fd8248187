"""All that is kept about a letter, for its writer (docs/standards.md P14)."""

from datetime import datetime
from typing import Any

from app.domain.letter import is_readable
from app.domain.status import Status, shown
from app.store.letters import letter_by_token
from app.store.models import Attempt, Correction, Delivery
from app.store.vault import Vault

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
_CORRECTION = ("id", "recipient_mac", "recipient_domain_mac")
_HASHES = ("token_hash", "reader_token_hash", "recipient_mac", "recipient_domain_mac", "sender_mac")


async def export(vault: Vault, token: str, now: datetime) -> dict[str, Any]:
    """Return a letter with its deliveries, attempts and hashes.

    `body` is None as long as the letter is sealed: from when it can no more be changed until it has
    arrived once. Raises LetterNotFound, and KeyMissing where it cannot be opened.
    """
    letter = await letter_by_token(token)
    deliveries = await Delivery.filter(letter_id=letter.id).order_by("id").values()
    row = vars(letter)
    values = vault.open_letter(row)
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
    tries = await Attempt.filter(delivery_id=row["id"]).order_by("id").values(*_ATTEMPT)
    return {name: row[name] for name in _DELIVERY} | {"tries": tries}
