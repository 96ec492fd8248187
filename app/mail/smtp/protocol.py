"""Commands and replies of one SMTP connection, matched by their order."""

import asyncio
from abc import abstractmethod
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Literal

from app.domain.retry import Stage
from app.mail.smtp.replies import CLOSING, MalformedReply, ReplyLines, ReplyReader, decoded, shown

DOT = b".\r\n"

Command = Stage | Literal["rset", "dot", "quit"]
"""What a reply is awaited to; `dot` ends an empty text that a server asked for in error."""


class SmtpProtocol(asyncio.Protocol):
    """Matches replies to commands.

    Replies have no names: they belong to the commands in the order these were written. So the
    queue of pending commands is the whole state of the connection, and whatever does not fit it
    (an unexpected or malformed reply, silence) ends the connection: no reply is ever taken for
    another message's.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.closed = asyncio.Event()
        self.close_reason = ""  # empty while the connection is open
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._pending: deque[Command] = deque()
        self._deadline = inf
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @abstractmethod
    def received(self, command: Command, reply: ReplyLines) -> None:
        """Handle a reply. Nothing may be written here, see `proceed`."""

    @abstractmethod
    def proceed(self) -> None:
        """Write what follows. Called with all replies in, so that no earlier one is taken for a reply to this."""

    @abstractmethod
    def timed_out(self) -> None: ...

    @abstractmethod
    def lost(self) -> None: ...  # may be called more than once

    def write(self, lines: bytes, *commands: Command, seconds: float) -> None:
        """Write commands that are answered in this order, the last of them within so many seconds."""
        if self.close_reason:
            self.lost()
        else:
            self._pending.extend(commands)
            self._transport.write(lines)
            self.set_deadline(self._loop.time() + seconds)

    def abort(self, reason: str) -> None:
        if not self.close_reason:
            self.close_reason = reason
            self._transport.abort()
        self._pending.clear()
        self.lost()

    def data_received(self, packet: bytes) -> None:
        try:
            for reply in self._reader.feed(packet):
                self._match(reply)
                if self.close_reason:
                    return
        except MalformedReply as error:
            self.abort(str(error))
            return
        if self._pending:
            return
        if self._reader.unfinished:
            self.abort("the start of an unexpected reply")
        else:
            self.proceed()

    def _match(self, reply: ReplyLines) -> None:
        if not self._pending:
            self.abort(f"an unexpected reply: {shown_reply(reply)}")
            return
        self.received(self._pending.popleft(), reply)
        if reply[0] == CLOSING:
            self.abort(f"the server closes the connection: {shown_reply(reply)}")

    def eof_received(self) -> None:
        self.abort("the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort(f"the connection was lost: {exc}" if exc else "the connection was closed")
        if self._timer:
            self._timer.cancel()
        self.closed.set()

    # One timer serves many replies: it is moved only when it would fire too late.

    def set_deadline(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._pending:
            return
        if self._loop.time() < self._deadline:
            self.set_deadline(self._deadline)
        else:
            self.timed_out()


def shown_reply(reply: ReplyLines) -> str:
    return shown(f"{reply[0]} {decoded(reply[1])}")


def stuffed(message: bytes) -> bytes:
    """Return a message as it follows DATA, with the final dot (RFC 5321 §4.5.2)."""
    head_end = message.find(b"\r\n\r\n")
    # A dot is found far faster than a line's end and a dot, and base64 has none.
    if message.find(b".", head_end) >= 0 or message.find(b"\r\n.", 0, head_end) >= 0:
        message = message.replace(b"\r\n.", b"\r\n..")
    if message.startswith(b"."):
        message = b"." + message
    return message + (b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server offers (EHLO), and how the connection is secured."""

    pipelining: bool
    size: int | None  # the most octets it takes (RFC 1870); 0: no limit named, None: no SIZE
    tls: str = ""  # its version
    certificate_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds (RFC 5321 §4.5.3.2 for `command` and `answer`)."""

    connect: float = 60.0  # for all that precedes the first message: connecting, greeting, TLS, login
    command: float = 300.0
    answer: float = 600.0  # to the final dot: giving up earlier sends twice (RFC 1047)
    behind: float = 5.0  # to the message before; then the one behind it goes over another connection
    quit: float = 5.0
    idle: float = 60.0  # a connection without a message is kept so long


DEFAULT_TIMEOUTS = Timeouts()
