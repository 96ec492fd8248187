"""A letter to keep, once it has arrived for the last time."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.status import Occasion, Status
from app.store.letters import letter_by_token
from app.store.models import Delivery
from app.store.vault import Vault

_TO_COME = (Status.SCHEDULED, Status.CLAIMED, Status.UNCERTAIN, Status.HELD)


@dataclass(frozen=True, slots=True)
class Keepsake:
    """A letter with what was sent of it, in order: `values` are what was sealed, by name.

    `due_at` is when its last arrival is due, as long as one is to come; a letter that has not
    arrived for the last time says nothing: its `values` are empty. The same where it never will.
    """

    language: str
    timezone: str
    written_at: datetime
    send_at: datetime
    second_send_at: datetime | None
    due_at: datetime | None
    arrived: tuple[tuple[Occasion, str, datetime], ...]
    values: dict[str, str]


async def keepsake(vault: Vault, token: str) -> Keepsake:
    """Return the keepsake of a writer's link; of what was sent, occasion, Message-ID and moment.

    Raises LetterNotFound, where it has been purged too, and KeyMissing where it cannot be opened.
    """
    letter = await letter_by_token(token)
    deliveries = await Delivery.filter(letter_id=letter.id, notice=False).order_by("promised_at")
    due = [delivery.due_at for delivery in deliveries if delivery.status in _TO_COME]
    arrived = [(each.occasion, each.message_id, each.sent_at) for each in deliveries if each.sent_at]
    return Keepsake(
        language=letter.language,
        timezone=letter.timezone,
        written_at=letter.written_at,
        send_at=letter.send_at,
        second_send_at=letter.second_send_at,
        due_at=max(due) if due else None,
        arrived=tuple(arrived),
        values=vault.open_letter(vars(letter)) if arrived and not due else {},
    )
