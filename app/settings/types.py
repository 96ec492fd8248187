"""Types of settings, and how they are parsed."""

import contextlib
import re
from dataclasses import dataclass
from datetime import timedelta
from email.utils import getaddresses
from typing import Annotated, Literal
from urllib.parse import SplitResult

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_settings import NoDecode

from app.domain.schedule import LONGEST, Delay

_timedelta = TypeAdapter(timedelta).validate_python
_FIXED = re.compile(r"P(?![^T]*[MY])")  # pydantic would take a month for 30 days, and a year for 365
_CALENDAR = re.compile(r"P(\d{1,5})([DW])", re.ASCII)


def _split(value: object) -> object:
    """Parse `a, b` as two entries."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _duration(value: object) -> object:
    return _elapsed(value) if isinstance(value, str) else value


def _elapsed(text: str) -> timedelta:
    with contextlib.suppress(ValidationError):
        if _FIXED.match(text):
            return _timedelta(text)
    raise ValueError(f"{text!r} is no ISO 8601 duration such as P7D or PT30S")


def _delay(value: object) -> object:
    if not isinstance(value, str):
        return value
    if calendar := _CALENDAR.fullmatch(value):
        return Delay(days=int(calendar[1]) * (7 if calendar[2] == "W" else 1))
    return Delay(elapsed=_elapsed(value))


def _switch(value: object) -> object:
    return {"on": True, "off": False}.get(value.lower(), value) if isinstance(value, str) else value


Duration = Annotated[timedelta, NoDecode, BeforeValidator(_duration), Field(gt=timedelta(), le=LONGEST)]
Period = Annotated[timedelta, NoDecode, BeforeValidator(_duration), Field(ge=timedelta(), le=LONGEST)]
"""A duration that may be none."""
ArrivalDelay = Annotated[Delay, NoDecode, BeforeValidator(_delay)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Security = Literal["none", "starttls", "tls"]
Strings = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


SMTP_SCHEMES: dict[str, tuple[Security, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    host: str
    port: int
    security: Security
    username: str
    password: str


ESCAPES = "in a password, write / as %2F, @ as %40, : as %3A, # as %23, ? as %3F, % as %25"


def check_port(parts: SplitResult) -> None:
    """Raise ValueError for a wrong port; the standard library's message would quote part of the password."""
    with contextlib.suppress(ValueError):
        if parts.port != 0:
            return
    raise ValueError(f"its port must be a number from 1 to 65535 ({ESCAPES})")


def is_mailbox(value: str) -> bool:
    """Whether this is exactly one address, with or without a name, that may be used in a header."""
    match getaddresses([value]):
        case [(_, address)] if value.isprintable() and address.isascii():
            local, _, domain = address.rpartition("@")
            return bool(local and domain) and not set(local + domain) & set(' @,;:<>"()[]\\')
    return False
