"""The types that `mail` and `delivery` share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.refusal import Reason
from app.domain.retry import Reply
from app.domain.status import Occasion


@dataclass(frozen=True, slots=True)
class MailListEntry:
    page_url: str  # the writer's
    reader: str  # the masked address
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Mail:
    """The values of a message. Addresses are ASCII (IDN domains as A-labels); a notice's recipient is the writer.

    `page_url` is the writer's page and must never reach the reader, `stop_url` the reader's and must
    never reach the writer. `mailbox_url` closes the writer's mailbox to us. `confirm_url` is for the
    writer's address, or for the reader's where the writer gave none.
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
    reader: str = ""  # the masked address
    reason: str = ""  # the server's reply without addresses
    refused_for: Reason | None = None
    untried: bool = False  # the address was known not to exist
    renewed: bool = False  # an earlier receipt named other days
    stop_url: str = ""
    mailbox_url: str = ""
    confirm_url: str = ""
    entries: tuple[MailListEntry, ...] = ()  # the letters whose links were requested


@dataclass(frozen=True, slots=True)
class Envelope:
    """A finished message: `sender` is empty for a notice (RFC 5321 §4.5.5), lines end in CRLF."""

    sender: str
    recipient: str
    message: bytes


HandOver = Callable[[], Awaitable[bool]]
"""Records that a message is about to be handed over; False: the claim was lost, do not send."""

OnFinalDot = Callable[[], None]
"""Called right before a message's final dot is written: until then, the server has not accepted it."""

OnReply = Callable[[Reply], None]
"""Called with the reply to the final dot as soon as it is read, before anything else happens."""


def ignore(*_: Reply) -> None: ...


class Transport(Protocol):
    """Sends messages. One is shared by all deliveries in flight of a process."""

    async def send(
        self, envelope: Envelope, hand_over: HandOver, on_reply: OnReply = ignore, on_final_dot: OnFinalDot = ignore
    ) -> Reply:
        """Send one message and return the server's final reply.

        `hand_over` is awaited at most once, before the final dot is written: when the server is ready
        for it, or already while the message waits behind another; then it may still be refused or
        cancelled. `on_final_dot` is called once, `on_reply` exactly once where the server replied to
        the final dot: a reply that a killed process had not read is a letter that may arrive twice.

        Raises Unavailable where connecting, greeting, TLS or login failed (nothing was handed over,
        no letter is the cause), Dropped where the connection ended or timed out before the final dot,
        Unanswered where it did so after, ClaimLost where `hand_over` returned False.
        """

    async def close(self) -> None:
        """Close all connections. No message may be in flight."""


class TransportError(Exception):
    """An attempt without a reply; its text may be logged and shown."""


class Unavailable(TransportError):
    """The server cannot be used at all. `permanent`: until the operator acts (login, certificate)."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class Dropped(TransportError):
    """The connection was lost before the hand-over."""


class Unanswered(TransportError):
    """The message was handed over, and the server's reply is unknown."""


class ClaimLost(TransportError):
    """Another worker owns this delivery; nothing was handed over."""
