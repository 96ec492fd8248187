"""One connection to a mail server: commands out, answers in, each to the command it belongs to."""

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
"""What an answer is awaited to; `dot` ends an empty text that a server asked for in error."""


class SmtpProtocol(asyncio.Protocol):
    """Knows whose turn it is.

    Answers have no names: they belong to the commands in the order these were written. The one
    queue of awaited answers is therefore all there is to know about the connection, and whatever
    does not fit it (an answer to nothing, garbage, silence) ends the connection, so that no
    answer is ever taken for another letter's.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.closed = asyncio.Event()
        self.ended = ""
        """Why nothing is said or heard any more; empty as long as the connection lives."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._awaited: deque[Command] = deque()
        self._deadline = inf
        self._alarm: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @abstractmethod
    def heard(self, asked: Command, answer: ReplyLines) -> None:
        """Take an answer. Nothing may be written here, see `proceed`."""

    @abstractmethod
    def proceed(self) -> None:
        """Write what comes next: all answers are in, so none that came unasked is taken for one to this."""

    @abstractmethod
    def silent(self) -> None:
        """Do what is to be done where the time for an answer is over."""

    @abstractmethod
    def lost(self) -> None:
        """Say what the end of the connection means. May be called more than once."""

    def write(self, lines: bytes, *asked: Command, seconds: float) -> None:
        """Write commands that are answered in this order, the last of them within so many seconds."""
        if self.ended:
            self.lost()
        else:
            self._awaited.extend(asked)
            self._transport.write(lines)
            self.wait_until(self._loop.time() + seconds)

    def abort(self, reason: str) -> None:
        """End the connection here and now; whatever was awaited has no answer."""
        if not self.ended:
            self.ended = reason
            self._transport.abort()
        self._awaited.clear()
        self.lost()

    def data_received(self, packet: bytes) -> None:
        try:
            for answer in self._reader.feed(packet):
                self._take(answer)
                if self.ended:
                    return
        except MalformedReply as error:
            self.abort(str(error))
        else:
            if not self._awaited:
                self._go_on()

    def _take(self, answer: ReplyLines) -> None:
        if not self._awaited:
            self.abort(f"the server said, unasked: {reply_from(answer)}")
            return
        self.heard(self._awaited.popleft(), answer)
        if answer[0] == CLOSING:
            self.abort(f"the server closes: {reply_from(answer)}")

    def _go_on(self) -> None:
        if self._reader.unfinished:
            self.abort("the server began to speak, unasked")
        else:
            self.proceed()

    def eof_received(self) -> None:
        self.abort("the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort(f"the connection was lost: {exc}" if exc else "the connection was closed")
        if self._alarm:
            self._alarm.cancel()
        self.closed.set()

    # Silence. One alarm serves many answers: it is moved only when it would ring too late.

    def wait_until(self, deadline: float) -> None:
        """Wait so long, in the loop's time, for what is awaited."""
        self._deadline = deadline
        if self._alarm is None or self._alarm.when() > deadline:
            if self._alarm:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if not self._awaited:
            return
        if self._loop.time() < self._deadline:
            self.wait_until(self._deadline)
        else:
            self.silent()


def reply_from(answer: ReplyLines) -> str:
    """Return an answer as it may be logged and shown."""
    return shown(f"{answer[0]} {decoded(answer[1])}")


def stuffed(message: bytes) -> bytes:
    """Return a message as it follows DATA, up to the final dot (RFC 5321 §4.5.2)."""
    head_end = message.find(b"\r\n\r\n")
    # A dot is found far faster than a line's end and a dot, and base64 has none.
    if message.find(b".", head_end) >= 0 or message.find(b"\r\n.", 0, head_end) >= 0:
        message = message.replace(b"\r\n.", b"\r\n..")
    if message.startswith(b"."):
        message = b"." + message
    return message + (b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server said it can do (EHLO), and how the way there is secured.

    `size` is the most octets it takes (RFC 1870): 0 where it named no limit, None where it does
    not offer SIZE. `tls` is the version, or empty; `certified_until` when its certificate runs out.
    """

    pipelining: bool
    size: int | None
    tls: str = ""
    certified_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How many seconds we wait (RFC 5321 §4.5.3.2 for `command` and `answer`)."""

    connect: float = 60.0
    """For all that comes before the first letter: connecting, greeting, TLS, login."""
    command: float = 300.0
    """For the answer to a command."""
    answer: float = 600.0
    """For the answer to the final dot: giving up on it earlier doubles letters (RFC 1047)."""
    behind: float = 5.0
    """For the answer to the letter before: then the one behind it goes over another connection."""
    quit: float = 5.0
    idle: float = 60.0
    """How long a connection is kept without a letter."""


DEFAULT_TIMEOUTS = Timeouts()
