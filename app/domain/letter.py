"""A letter as its writer wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.status import Status

BODY_LIMIT = 20_000
SUBJECT_LIMIT = 200
NAME_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter that has passed the form's checks and may be stored.

    `body` has LF line ends; a name, address or subject that was not given is an empty string;
    `timezone` is an IANA name, `language` is `en` or `ko`.
    """

    recipient_email: str
    body: str
    subject: str = ""
    recipient_name: str = ""
    sender_name: str = ""
    sender_email: str = ""
    timezone: str = "UTC"
    language: str = "en"


def is_open(sealed_at: datetime | None, promised: Sequence[Status], now: datetime) -> bool:
    """Return whether a letter's writer may still read and change it; `promised` are its deliveries' states."""
    waiting = all(status in (Status.SCHEDULED, Status.HELD) for status in promised)
    return sealed_at is not None and now < sealed_at and waiting


def is_readable(sealed_at: datetime | None, promised: Sequence[Status], now: datetime) -> bool:
    """Return whether its writer may read it: until it is sealed, and once it has arrived."""
    return promised[0] is Status.SENT or is_open(sealed_at, promised, now)
