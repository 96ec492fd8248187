"""What is said on one connection, after greeting, TLS and login: letters, one behind the other."""

import asyncio
from collections import deque
from typing import Protocol

from app.domain.retry import Reply, Stage
from app.mail.envelope import Dropped, Unanswered
from app.mail.smtp.outgoing import OutgoingMessage
from app.mail.smtp.protocol import DOT, Capabilities, Command, SmtpProtocol, Timeouts, reply_from, stuffed
from app.mail.smtp.replies import CLOSING, ReplyLines, reply
from app.mail.smtp.window import InFlightWindow, Slot

_BAD_SEQUENCE = 503
_GO_AHEAD = 354
_UNHURRIED = 0.005  # seconds; a server that takes longer over a letter gives time enough for a commit
_STAGES: tuple[Stage, Stage, Stage] = ("mail", "rcpt", "data")


class LetterSource(Protocol):
    """Where the next letter comes from, and where one goes that has lost its connection."""

    window: InFlightWindow

    def record(self, passage: OutgoingMessage) -> None: ...
    def follower(self, conversation: "SmtpConnection") -> OutgoingMessage | None: ...
    def rest(self, conversation: "SmtpConnection") -> None: ...
    def admit(self, passage: OutgoingMessage) -> None: ...
    def readmit_alone(self, passage: OutgoingMessage) -> None: ...
    def closed(self, conversation: "SmtpConnection") -> None: ...


class SmtpConnection(SmtpProtocol):
    """Speaks SMTP on a connection that is ready for MAIL.

    Where the server offers PIPELINING (RFC 2920), a letter's three commands are written at one
    go, and behind the text of the letter before it where one waits then: a round trip a letter.
    """

    def __init__(
        self, transport: asyncio.Transport, offers: Capabilities, patience: Timeouts, source: LetterSource
    ) -> None:
        super().__init__(transport)
        self.offers = offers
        self.carried = 0
        self._patience = patience
        self._source = source
        self._current: OutgoingMessage | None = None
        self._behind: OutgoingMessage | None = None  # its commands follow the current one's text
        self._tainted = False  # commands were written for a letter that has gone another way since
        self._unsaid: deque[tuple[Command, bytes]] = deque()  # for a server that hears one command at a time
        self._mail_open = False
        self._reader_taken = False
        self._text_wanted = self._text_ahead = False
        self._place: Slot | None = None  # among those who may be past their final dot
        self._text_written_at = 0.0
        self._answer_took = 0.0
        self._leaving = self._sender_refused = False

    @property
    def usable(self) -> bool:
        return not (self.ended or self._leaving)

    @property
    def domains(self) -> set[str]:
        """The domains of the letters that are on this connection now."""
        return {passage.domain for passage in (self._current, self._behind) if passage}

    def takes(self, passage: OutgoingMessage) -> bool:
        """Whether a letter may be offered here; one that is too large ends by our own verdict (RFC 1870)."""
        limit, size = self.offers.size, len(passage.envelope.message)
        if not limit or size <= limit:
            return True
        passage.end(Reply(552, "5.3.4", f"{size} bytes, and the server takes {limit}", "mail"))
        return False

    def begin(self, passage: OutgoingMessage) -> None:
        """Offer a letter. The connection must be free."""
        commands, asked = self._commands(passage), list[Command](_STAGES)
        if self._mail_open:
            commands.insert(0, b"RSET\r\n")
            asked.insert(0, "rset")
        self._current, self._mail_open = passage, True
        if self.offers.pipelining:
            self.write(b"".join(commands), *asked, seconds=self._patience.command)
        else:
            self._unsaid.extend(zip(asked, commands, strict=True))
            self._say_next()

    def go_on(self, passage: OutgoingMessage) -> None:
        """See Carrier."""
        if passage is self._current and self._text_wanted and not self._place:
            self._finish(passage)

    def withdraw(self, passage: OutgoingMessage) -> None:
        """See Carrier. The letter before it is still to be answered."""
        if passage is self._behind:
            self._taint(passage)
        else:
            self.abort("given up in the middle of a letter")

    def leave(self) -> None:
        """Say QUIT; `closed` is set when the server has hung up, or has taken too long to."""
        if self.usable:
            self._leaving = True
            self.write(b"QUIT\r\n", "quit", seconds=self._patience.quit)

    # What is written

    def proceed(self) -> None:
        passage = self._current
        if self._leaving:
            self._loop.call_soon(self._transport.close)  # not from within a read: TLS may be closing by itself
        elif passage is None and self._sender_refused:
            self.leave()
        elif passage is None:
            self._source.rest(self)
        elif passage.ended:  # refused, and yet the text is wanted
            self._current, self._text_wanted = None, False
            self.write(DOT, "dot", seconds=self._patience.command)
        elif not self._text_wanted:
            self._say_next()
        elif passage.recorded:
            self._finish(passage)
        else:
            self._write_ahead(passage)
            self._source.record(passage)

    def _say_next(self) -> None:
        asked, command = self._unsaid.popleft()
        self.write(command, asked, seconds=self._patience.command)

    def _commands(self, passage: OutgoingMessage) -> list[bytes]:
        """Return the commands of _STAGES for a letter, which is carried here from now on."""
        passage.carrier, passage.first = self, self.carried == 0
        self.carried += 1
        envelope = passage.envelope
        option = "" if self.offers.size is None else f" SIZE={len(envelope.message)}"
        return [
            f"MAIL FROM:<{envelope.sender}>{option}\r\n".encode("ascii"),
            f"RCPT TO:<{envelope.recipient}>\r\n".encode("ascii"),
            b"DATA\r\n",
        ]

    def _write_ahead(self, passage: OutgoingMessage) -> None:
        """Write all but the final dot, without which a server takes nothing over (RFC 5321 §4.1.1.4).

        So it reads while the hand-over is put on record, and a letter is in doubt only for as
        long as the server takes to say that it has it.
        """
        self._text_ahead = True
        self._transport.write(stuffed(passage.envelope.message)[: -len(DOT)])

    def _finish(self, passage: OutgoingMessage) -> None:
        """Write the rest of a text, its hand-over being on record, when it is its turn."""
        self._place = self._source.window.enter(self._write_text)
        if self._place.inside:
            self._write_text()
        elif not self._text_ahead:
            self._write_ahead(passage)

    def _write_text(self) -> None:
        """Write a letter's text, or what is left of it, and, behind it, what offers the next one."""
        passage = self._current
        if passage is None:
            raise RuntimeError("a turn to write, and no letter")
        text = DOT if self._text_ahead else stuffed(passage.envelope.message)
        self._text_wanted, self._text_ahead, passage.written = False, False, True
        passage.begun()
        patience = self._patience
        self._text_written_at = self._loop.time()
        if self.offers.pipelining and (behind := self._source.follower(self)):
            self._behind = behind
            commands = b"".join(self._commands(behind))
            self.write(text + commands, "body", *_STAGES, seconds=min(patience.behind, patience.answer))
            if self._answer_took > _UNHURRIED:
                self._source.record(behind)  # or the server would have to wait for the database
        else:
            self.write(text, "body", seconds=patience.answer)

    # What is heard

    def heard(self, asked: Command, answer: ReplyLines) -> None:
        passage = self._current
        if asked == "rset" and answer[0] >= 300:
            self.abort("the server does not take RSET")
        elif passage is None or asked == "rset":
            pass
        elif asked == "body":
            self._conclude(passage, answer)
        elif asked == "mail" and not passage.first and answer[0] in (CLOSING, _BAD_SEQUENCE):
            self.abort(f"the server said, of what was before: {reply_from(answer)}")
        elif asked in _STAGES:
            self._judge(passage, asked, answer)

    def _judge(self, passage: OutgoingMessage, stage: Stage, answer: ReplyLines) -> None:
        """Go on by the answer to MAIL, RCPT or DATA. The first "no" is the letter's, the rest is tidying up."""
        code = answer[0]
        if stage == "data":
            self._text_wanted = code == _GO_AHEAD
        elif stage == "rcpt":
            self._reader_taken = code < 300
        if passage.ended:
            self._tidy_up(stage)
        elif not (self._text_wanted if stage == "data" else code < 300):
            self._refuse(passage, stage, answer)

    def _refuse(self, passage: OutgoingMessage, stage: Stage, answer: ReplyLines) -> None:
        passage.end(reply(answer, stage))
        self._unsaid.clear()
        # Where a filter of Postfix's was away for a moment, it refuses every letter of this connection from then on.
        self._sender_refused = stage == "mail" and 400 <= answer[0] < 500
        if not 400 <= answer[0] < 600:
            self.abort("an answer that fits no command")
        elif not self._awaited:
            self._current = None

    def _tidy_up(self, stage: Stage) -> None:
        """Make the connection fit for the next letter after a refusal, or end it.

        A server may ask for the text although it refused the reader: it gets a lone dot
        (RFC 2920 §3.1), and what it says to that concerns nobody.
        """
        if stage == "data" and not self._text_wanted:
            self._current = None
        elif stage == "data" and self._reader_taken:
            self.abort("asked for the text of a letter whose sender it refused")

    def _conclude(self, passage: OutgoingMessage, answer: ReplyLines) -> None:
        """Take the last word about a letter: the answer to its final dot."""
        if 300 <= answer[0] < 400:
            self.abort("an answer that fits no command")
            return
        last_word = reply(answer, "body")
        passage.answered(last_word)  # before anything else, see Answered
        if self._place:
            self._source.window.answered(self._place)
            self._place = None
        passage.end(last_word)
        now = self._loop.time()
        self._answer_took = now - self._text_written_at
        self._current, self._behind = self._behind, None
        if self._tainted:
            self.abort("a letter that was offered here has gone another way")
        elif self._current:
            self.wait_until(now + self._patience.command)
        else:
            self._mail_open = answer[0] >= 300

    # What goes wrong

    def silent(self) -> None:
        if behind := self._behind:
            self._taint(behind)
            self._source.admit(behind)
            self.wait_until(self._text_written_at + self._patience.answer)
        else:
            self.abort("no whole answer within the time limit")

    def _taint(self, behind: OutgoingMessage) -> None:
        """Let the letter go that is offered behind the text of another."""
        behind.carrier = self._behind = None
        self._tainted = True
        for _ in _STAGES:
            self._awaited.pop()

    def lost(self) -> None:
        current, behind, place = self._current, self._behind, self._place
        self._current = self._behind = self._place = None
        if place:
            self._source.window.leave(place)
        if current and not current.ended:
            self._lose(current)
        if behind:
            self._move(behind)

    def _lose(self, passage: OutgoingMessage) -> None:
        if passage.written:
            passage.end(Unanswered(self.ended))
        elif passage.first:
            passage.end(Dropped(self.ended))
        else:  # what had been said before may have ended it
            self._move(passage)

    def _move(self, passage: OutgoingMessage) -> None:
        passage.carrier = None
        self._source.readmit_alone(passage)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._source.closed(self)
