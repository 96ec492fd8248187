"""One connection to a mail server, after greeting, TLS and login: letters, one behind the other."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from app.domain.retry import Reply, Stage
from app.mail.envelope import Answered, ClaimLost, Dropped, Envelope, HandOver, Unanswered, unheard
from app.mail.replies import Answer, Garbage, ReplyReader, reply, shown

_CLOSING = 421
_GO_AHEAD = 354
_STAGES: tuple[Stage, ...] = ("mail", "rcpt", "data")


class Stale(Dropped):
    """A kept connection had ended before this letter's first answer: the letter has no part in it."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What the server said it can do (EHLO).

    `size` is the most octets it takes (RFC 1870): 0 where it named no limit, None where it does
    not offer SIZE.
    """

    pipelining: bool
    size: int | None


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds we wait (RFC 5321 §4.5.3.2 for `command` and `answer`)."""

    connect: float = 60.0
    """For all that comes before the first letter: connecting, greeting, TLS, login."""
    command: float = 300.0
    """For the answer to a command."""
    answer: float = 600.0
    """For the answer to the final dot: giving up on it earlier doubles letters (RFC 1047)."""
    quit: float = 5.0
    idle: float = 60.0
    """How long a connection is kept without a letter."""


DEFAULT_PATIENCE = Patience()


class Conversation(asyncio.Protocol):
    """Speaks SMTP on a connection that is ready for MAIL.

    Answers have no names: they belong to the commands in the order these were written. The one
    queue of awaited answers is therefore all there is to know about the connection, and whatever
    does not fit it (an answer to nothing, garbage, silence) ends the connection, so that no
    answer is ever taken for another letter's.
    """

    def __init__(self, transport: asyncio.Transport, offers: Offers, patience: Patience) -> None:
        self.offers = offers
        self.carried = 0
        self.closed = asyncio.Event()
        self._transport = transport
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._awaited: deque[asyncio.Future[Answer | None]] = deque()
        self._ended = ""
        self._leaving = False
        self._mail_open = False
        self._answered: Answered | None = None  # there while the answer to a final dot is awaited
        self._deadline = inf
        self._alarm: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        return not (self._ended or self._leaving)

    async def carry(self, envelope: Envelope, hand_over: HandOver, answered: Answered = unheard) -> Reply:
        """Hand over one letter; see Transport.send. Raises Stale on a kept connection that had ended."""
        try:
            refusal = self._too_large(len(envelope.message)) or await self._offer(envelope)
            if refusal:
                return refusal
            if not await hand_over():
                raise ClaimLost("another worker has taken this delivery over")
            if self._ended:
                raise Dropped(self._ended)  # not one byte of the text was written
            return await self._write_text(envelope.message, answered)
        except BaseException:
            self.abort("given up in the middle of a letter")
            raise

    def leave(self) -> None:
        """Say QUIT; `closed` is set when the server has hung up, or has taken too long to."""
        if self.usable:
            self._leaving = True
            self._write(b"QUIT\r\n", 1, self._patience.quit)

    def abort(self, reason: str) -> None:
        """End the connection here and now; whatever was awaited has no answer."""
        if not self._ended:
            self._ended = reason
            self._transport.abort()
        while self._awaited:
            future = self._awaited.popleft()
            if not future.done():
                future.set_result(None)

    def _too_large(self, size: int) -> Reply | None:
        limit = self.offers.size
        if limit and size > limit:
            return Reply(552, "5.3.4", f"{size} bytes, and the server takes {limit}", "mail")
        return None

    async def _offer(self, envelope: Envelope) -> Reply | None:
        """Write MAIL, RCPT and DATA; return the refusal, or None where the server waits for the text."""
        answers = await self._announce(envelope)
        for stage, answer in zip(_STAGES, answers, strict=False):
            if answer is None:
                raise Dropped(self._ended)
            if not _goes_on(stage, answer[0]):
                await self._tidy_up(answers, stage)
                return reply(answer, stage)
        if self._ended:
            raise Dropped(self._ended)
        return None

    async def _announce(self, envelope: Envelope) -> list[Answer | None]:
        """Return what is answered to MAIL, RCPT and DATA, and leave what befell the connection before out of it."""
        kept = self.carried > 0
        self.carried += 1
        answers = await self._ask(self._commands(envelope))
        if kept and (answers[0] is None or answers[0][0] == _CLOSING):
            raise Stale(self._ended)
        if self._mail_open:
            reset = answers.pop(0)
            if reset is None or reset[0] >= 300:
                raise Stale("the server does not take RSET")
        self._mail_open = True
        return answers

    def _commands(self, envelope: Envelope) -> list[bytes]:
        option = "" if self.offers.size is None else f" SIZE={len(envelope.message)}"
        commands = [
            f"MAIL FROM:<{envelope.sender}>{option}\r\n".encode("ascii"),
            f"RCPT TO:<{envelope.recipient}>\r\n".encode("ascii"),
            b"DATA\r\n",
        ]
        return [b"RSET\r\n", *commands] if self._mail_open else commands

    async def _ask(self, commands: Sequence[bytes]) -> list[Answer | None]:
        """Return the answers: to all commands, or up to the first "no" where they go one at a time."""
        if self.offers.pipelining:  # RFC 2920
            return [await future for future in self._write(b"".join(commands), len(commands), self._patience.command)]
        answers: list[Answer | None] = []
        for command in commands:
            (future,) = self._write(command, 1, self._patience.command)
            answer = await future
            answers.append(answer)
            if answer is None or answer[0] >= 300:
                break
        return answers

    async def _tidy_up(self, answers: list[Answer | None], refused: Stage) -> None:
        """Make the connection fit for the next letter after a refusal, or end it.

        A server may ask for the text although it refused the reader: it gets a lone dot
        (RFC 2920 §3.1), and what it says to that concerns nobody.
        """
        codes = [answer[0] if answer else 0 for answer in answers]
        if not 400 <= codes[_STAGES.index(refused)] < 600:
            self.abort("an answer that fits no command")
        elif _GO_AHEAD in codes[2:]:
            if codes[1] < 300:
                self.abort("asked for the text of a letter whose sender it refused")
            else:
                (future,) = self._write(b".\r\n", 1, self._patience.command)
                await future

    async def _write_text(self, message: bytes, answered: Answered) -> Reply:
        self._answered = answered
        (future,) = self._write(_stuffed(message), 1, self._patience.answer)
        answer = await future
        self._answered = None
        if answer is not None and 300 <= answer[0] < 400:
            self.abort("an answer that fits no command")
            answer = None
        if answer is None:
            raise Unanswered(self._ended)
        self._mail_open = answer[0] >= 300
        return reply(answer, "body")

    # The connection

    def _write(self, lines: bytes, answers: int, seconds: float) -> list[asyncio.Future[Answer | None]]:
        futures = [self._loop.create_future() for _ in range(answers)]
        self._awaited.extend(futures)
        if self._ended:
            self.abort(self._ended)
        else:
            self._transport.write(lines)
            self._wait_until(self._loop.time() + seconds)
        return futures

    def data_received(self, packet: bytes) -> None:
        try:
            for answer in self._reader.feed(packet):
                if not self._take(answer):
                    break
        except Garbage as error:
            self.abort(str(error))

    def _take(self, answer: Answer) -> bool:
        """Give an answer to the command it belongs to; False: it was the last one."""
        if not self._awaited:
            self.abort(f"the server said, unasked: {_said(answer)}")
            return False
        future = self._awaited.popleft()
        if self._answered and not 300 <= answer[0] < 400:  # not once the coroutine has its turn: it may be killed first
            self._answered(reply(answer, "body"))
        if not future.done():
            future.set_result(answer)
        if answer[0] == _CLOSING:
            self.abort(f"the server closes: {_said(answer)}")
            return False
        if self._leaving:
            self._loop.call_soon(self._transport.close)  # not from within a read: TLS may be closing by itself
        return True

    def eof_received(self) -> None:
        self.abort("the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort(f"the connection was lost: {exc}" if exc else "the connection was closed")
        if self._alarm:
            self._alarm.cancel()
        self.closed.set()

    # Silence. One alarm serves many answers: it is moved only when it would ring too late.

    def _wait_until(self, deadline: float) -> None:
        self._deadline = deadline
        if self._alarm is None or self._alarm.when() > deadline:
            if self._alarm:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._awaited or self._leaving:
            if self._loop.time() < self._deadline:
                self._wait_until(self._deadline)
            else:
                self.abort("no whole answer within the time limit")


def _goes_on(stage: Stage, code: int) -> bool:
    return code == _GO_AHEAD if stage == "data" else code < 300


def _said(answer: Answer) -> str:
    return shown(f"{answer[0]} {answer[1].decode(errors='replace')}")


def _stuffed(message: bytes) -> bytes:
    """Return a message as it follows DATA, up to the final dot (RFC 5321 §4.5.2)."""
    text = message.replace(b"\r\n.", b"\r\n..")
    if text.startswith(b"."):
        text = b"." + text
    return text + (b".\r\n" if text.endswith(b"\r\n") else b"\r\n.\r\n")
