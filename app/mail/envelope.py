"""What is handed over, to whom, and what came of it: the words `mail` and `delivery` share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.refusal import Reason
from app.domain.retry import Reply
from app.domain.status import Occasion


@dataclass(frozen=True, slots=True)
class MailListEntry:
    """One letter in a list of links: its writer's page, the masked address it is for, and when it was written."""

    page_url: str
    reader: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Mail:
    """The plain values a message is composed of. Addresses are ASCII (IDN domains as A-labels).

    A notice goes to its writer: `recipient_email` is then theirs. Only notices use `page_url`, the
    writer's own page of this letter, which must never reach its reader; `reader`, the masked
    address the letter is for; and, where it was refused, `reason`, the server's words without
    addresses, with `refused_for`, what was judged of them, or `untried`: the address was known not
    to exist. Only what goes to the reader uses
    `stop_url`, the reader's page, which must never reach its writer, and only what goes to the writer
    `mailbox_url`, where whoever gets it closes that mailbox to us. `confirm_url` is where an
    address confirms, the reader's where the writer gave none; `entries` are the letters whose links
    were asked for. `renewed`: an earlier receipt named other days.
    """

    occasion: Occasion
    message_id: str
    recipient_email: str
    recipient_name: str
    sender_name: str
    subject: str
    body: str
    language: str
    timezone: str
    written_at: datetime
    send_at: datetime
    second_send_at: datetime | None
    page_url: str = ""
    reader: str = ""
    reason: str = ""
    refused_for: Reason | None = None
    untried: bool = False
    renewed: bool = False
    stop_url: str = ""
    mailbox_url: str = ""
    confirm_url: str = ""
    entries: tuple[MailListEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """A finished message: `sender` is empty for a notice (RFC 5321 §4.5.5), lines end in CRLF."""

    sender: str
    recipient: str
    message: bytes


HandOver = Callable[[], Awaitable[bool]]
"""Puts on record that a message is about to be handed over; False: the claim was lost, do not."""


OnBegun = Callable[[], None]
"""Hears that a message's final dot is written next: until then, nobody has taken it over."""

OnAnswered = Callable[[Reply], None]
"""Hears the reply to a handed-over message as soon as it is read, before anything else happens."""


def unheard(*_: Reply) -> None:
    """Stand for a `Begun` or an `Answered` where nobody listens."""


class Transport(Protocol):
    """Carries envelopes. One is shared by all deliveries in flight of a process."""

    async def send(
        self, envelope: Envelope, hand_over: HandOver, answered: OnAnswered = unheard, begun: OnBegun = unheard
    ) -> Reply:
        """Hand over one envelope and return the server's last word about it.

        `hand_over` is awaited at most once, before the final dot is written: when the server is ready
        for it, or already while the letter waits behind another; then it may still be refused or
        given up. `begun` is called once, when the text's final dot is written next.
        `answered` is called exactly once where the handed-over message was answered, in the very
        moment of reading: what a killed process had not read is what arrives twice.

        Raises Outage where no connection, greeting, TLS or login could be had (nothing was
        handed over, nobody is to blame), Dropped where the connection ended or timed out before
        the final dot, Unanswered where it did so after, ClaimLost where `hand_over` said False.
        """

    async def close(self) -> None:
        """Take leave of the server; what is in flight must have ended."""


class TransportError(Exception):
    """A try at a delivery that brought no reply; its text may be logged and shown."""


class Unavailable(TransportError):
    """The server cannot be used at all. `ours`: it will not mend itself (login, certificate)."""

    def __init__(self, message: str, *, ours: bool = False) -> None:
        super().__init__(message)
        self.ours = ours


class Dropped(TransportError):
    """The connection was lost before the hand-over."""


class Unanswered(TransportError):
    """The message was handed over, and the answer never came."""


class ClaimLost(TransportError):
    """Another worker owns this delivery by now; nothing was handed over."""
