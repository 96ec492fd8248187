from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import regex
from markupsafe import escape

from app.domain.status import Status

BODY_LIMIT = 20_000
SUBJECT_LIMIT = 200
NAME_LIMIT = 100
"""Characters as people count them (UAX #29)."""
BODY_OCTETS = 88_000
"""The most that a body may have in HTML: with the page around it, Gmail clips a mail of 102,400."""
_MOST_IN_ONE = 4
"""Code points for each character, on average: enough for any language, and for families of emoji among words."""
_CHARACTER = regex.compile(r"[\U0001F1E6-\U0001F1FF]{2}|\X")
"""Pairs of flags first: `\\X` alone counts back over all flags at each of them (UAX #29 GB12), which is quadratic."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A validated letter.

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
    """Whether the writer may still read and edit it; `promised` are its deliveries' states."""
    waiting = all(status in (Status.SCHEDULED, Status.HELD) for status in promised)
    return sealed_at is not None and now < sealed_at and waiting


def is_readable(sealed_at: datetime | None, promised: Sequence[Status], now: datetime) -> bool:
    """Whether the writer may read it: within the edit window, and once it has arrived."""
    return promised[0] is Status.SENT or is_open(sealed_at, promised, now)


def length(text: str, limit: int) -> int:
    """Return the number of characters (UAX #29); of a text with many marks per character, its code points.

    Exact only near the limit: up to `limit` code points it returns their number.
    """
    if not limit < len(text) <= _MOST_IN_ONE * limit:
        return len(text)
    return sum(1 for _ in _CHARACTER.finditer(text))


def excess(body: str) -> int:
    """Return about how many characters must go for a body to fit into one mail (BODY_OCTETS)."""
    octets = len(escape(body).encode())
    return 0 if octets <= BODY_OCTETS else 1 + (octets - BODY_OCTETS) * len(body) // octets
