"""Messages sent one after the other over an SMTP connection that is ready for MAIL."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.retry import Reply, Stage
from app.mail.envelope import ClaimLost, Dropped, Envelope, HandOver, OnFinalDot, OnReply, TransportError, Unanswered
from app.mail.smtp.protocol import DOT, Capabilities, Command, SmtpProtocol, Timeouts, shown_reply, stuffed
from app.mail.smtp.replies import CLOSING, ReplyLines, parse_reply
from app.mail.smtp.window import InFlightWindow, Slot

_BAD_SEQUENCE = 503
_GO_AHEAD = 354
_SLOW_REPLY = 0.005  # seconds; while a server takes longer over a message, a commit costs no time
_STAGES: tuple[Stage, Stage, Stage] = ("mail", "rcpt", "data")


@dataclass(slots=True, eq=False)
class OutgoingMessage:
    """Connections move it on as replies arrive, while its sender's coroutine sleeps."""

    envelope: Envelope
    hand_over: HandOver
    on_reply: OnReply
    on_final_dot: OnFinalDot
    domain: str = field(init=False)
    connection: "SmtpConnection | None" = None
    first: bool = False  # on its connection, so that no other message can have caused the loss of it
    recording: "asyncio.Future[bool] | None" = None
    recorded: bool = False
    written: bool = False  # so it may have arrived even if no reply does
    done: bool = False
    cancelled: bool = False
    _connecting: bool = False
    _error: BaseException | None = None
    _outcome: Reply | TransportError | None = None
    _waker: "asyncio.Future[None] | None" = None

    def __post_init__(self) -> None:
        self.domain = self.envelope.recipient.rpartition("@")[2].lower()

    async def needs_connection(self) -> bool:
        """Wait until its sender has to open a connection, which the pool has reserved; False: it is done.

        Raises ClaimLost where another worker owns the delivery, and what the hand-over raised.
        """
        while not (self.done or self._connecting):
            if self._error:
                raise self._error
            self._waker = asyncio.get_running_loop().create_future()
            await self._waker
        needed, self._connecting = self._connecting, False
        return needed

    def result(self) -> Reply:
        """Return the server's final reply. Raises the TransportError where there is none."""
        if isinstance(self._outcome, Reply):
            return self._outcome
        if self._outcome is None:
            raise RuntimeError("the message is not done")
        raise self._outcome

    def cancel(self) -> bool:
        """Stop; returns whether a reserved connection was not opened."""
        self.cancelled = True
        if self.recording:
            self.recording.cancel()
        if self.connection:
            self.connection.cancel(self)
        return self._connecting

    def connect(self) -> None:
        self._connecting = True
        self._wake()

    def record(self) -> None:
        if self.recording is None:
            self.recording = asyncio.ensure_future(self.hand_over())
            self.recording.add_done_callback(self._on_recorded)

    def finish(self, outcome: Reply | TransportError) -> None:
        self.done, self._outcome, self.connection = True, outcome, None
        self._wake()

    def _on_recorded(self, recording: "asyncio.Future[bool]") -> None:
        error = asyncio.CancelledError() if recording.cancelled() else recording.exception()
        if self.done or self.cancelled:
            return
        if error or not recording.result():
            self._error = error or ClaimLost("another worker owns this delivery")
            self._wake()
            return
        self.recorded = True
        if self.connection:
            self.connection.resume(self)

    def _wake(self) -> None:
        if self._waker and not self._waker.done():
            self._waker.set_result(None)


class MessageSource(Protocol):
    """The pool, as its connections use it."""

    window: InFlightWindow

    def record(self, message: OutgoingMessage) -> None: ...
    def next_for(self, connection: "SmtpConnection") -> OutgoingMessage | None: ...
    def reuse(self, connection: "SmtpConnection") -> None: ...
    def submit(self, message: OutgoingMessage) -> None: ...
    def retry_alone(self, message: OutgoingMessage) -> None: ...
    def closed(self, connection: "SmtpConnection") -> None: ...


class SmtpConnection(SmtpProtocol):
    """Where the server offers PIPELINING (RFC 2920), a message takes one round trip: its MAIL, RCPT and DATA
    are written together, behind the text of the message before it.
    """

    def __init__(
        self, transport: asyncio.Transport, capabilities: Capabilities, timeouts: Timeouts, source: MessageSource
    ) -> None:
        super().__init__(transport)
        self.capabilities = capabilities
        self.message_count = 0
        self._timeouts = timeouts
        self._source = source
        self._current: OutgoingMessage | None = None
        self._next: OutgoingMessage | None = None  # its commands were written behind the current one's text
        self._next_moved = False  # ... but it goes over another connection now
        self._unsent: deque[tuple[Command, bytes]] = deque()  # for a server without PIPELINING
        self._mail_open = False
        self._recipient_accepted = False
        self._text_expected = self._dot_missing = False
        self._slot: Slot | None = None
        self._text_written_at = 0.0
        self._reply_time = 0.0
        self._quitting = self._sender_refused = False

    @property
    def usable(self) -> bool:
        return not (self.close_reason or self._quitting)

    @property
    def domains(self) -> set[str]:
        return {message.domain for message in (self._current, self._next) if message}

    def fits(self, message: OutgoingMessage) -> bool:
        """Return False for a message over the size limit (RFC 1870), which is refused then."""
        limit, size = self.capabilities.size, len(message.envelope.message)
        if not limit or size <= limit:
            return True
        message.finish(Reply(552, "5.3.4", f"{size} bytes, and the server takes {limit}", "mail"))
        return False

    def start(self, message: OutgoingMessage) -> None:
        lines, commands = self._commands(message), list[Command](_STAGES)
        if self._mail_open:
            lines.insert(0, b"RSET\r\n")
            commands.insert(0, "rset")
        self._current, self._mail_open = message, True
        if self.capabilities.pipelining:
            self.write(b"".join(lines), *commands, seconds=self._timeouts.command)
        else:
            self._unsent.extend(zip(commands, lines, strict=True))
            self._write_command()

    def resume(self, message: OutgoingMessage) -> None:
        if message is self._current and self._text_expected and not self._slot:
            self._enter_window(message)

    def cancel(self, message: OutgoingMessage) -> None:
        """Drop a message, even if that ends the connection; the reply to the one before it is still awaited."""
        if message is self._next:
            self._drop_next(message)
        else:
            self.abort("the delivery was cancelled")

    def quit(self) -> None:
        if self.usable:
            self._quitting = True
            self.write(b"QUIT\r\n", "quit", seconds=self._timeouts.quit)

    # Writing

    def proceed(self) -> None:
        message = self._current
        if self._quitting:
            self._loop.call_soon(self._transport.close)  # not during a read: TLS may be closing already
        elif message is None and self._sender_refused:
            self.quit()
        elif message is None:
            self._source.reuse(self)
        elif message.done:  # refused, but the server expects a text
            self._current, self._text_expected = None, False
            self.write(DOT, "dot", seconds=self._timeouts.command)
        elif not self._text_expected:
            self._write_command()
        elif message.recorded:
            self._enter_window(message)
        else:
            self._write_without_dot(message)
            self._source.record(message)

    def _write_command(self) -> None:
        command, line = self._unsent.popleft()
        self.write(line, command, seconds=self._timeouts.command)

    def _commands(self, message: OutgoingMessage) -> list[bytes]:
        message.connection, message.first = self, self.message_count == 0
        self.message_count += 1
        envelope = message.envelope
        option = "" if self.capabilities.size is None else f" SIZE={len(envelope.message)}"
        return [
            f"MAIL FROM:<{envelope.sender}>{option}\r\n".encode("ascii"),
            f"RCPT TO:<{envelope.recipient}>\r\n".encode("ascii"),
            b"DATA\r\n",
        ]

    def _write_without_dot(self, message: OutgoingMessage) -> None:
        """Write all but the final dot, without which a server accepts nothing (RFC 5321 §4.1.1.4).

        The server reads it while the hand-over is being recorded, so that a message is uncertain
        only while the server works on its reply.
        """
        self._dot_missing = True
        self._transport.write(stuffed(message.envelope.message)[: -len(DOT)])

    def _enter_window(self, message: OutgoingMessage) -> None:
        """Write the rest of a text, its hand-over being on record, now or when the window lets it."""
        self._slot = self._source.window.enter(self._write_text)
        if self._slot.entered:
            self._write_text()
        elif not self._dot_missing:
            self._write_without_dot(message)

    def _write_text(self) -> None:
        message = self._current
        if message is None:
            raise RuntimeError("no message to write")
        text = DOT if self._dot_missing else stuffed(message.envelope.message)
        self._text_expected, self._dot_missing, message.written = False, False, True
        message.on_final_dot()
        timeouts = self._timeouts
        self._text_written_at = self._loop.time()
        if self.capabilities.pipelining and (following := self._source.next_for(self)):
            self._next = following
            commands = b"".join(self._commands(following))
            self.write(text + commands, "body", *_STAGES, seconds=min(timeouts.behind, timeouts.answer))
            if self._reply_time > _SLOW_REPLY:
                self._source.record(following)  # or the server would wait for the database
        else:
            self.write(text, "body", seconds=timeouts.answer)

    # Replies

    def received(self, command: Command, reply: ReplyLines) -> None:
        message = self._current
        if command == "rset" and reply[0] >= 300:
            self.abort("the server refused RSET")
        elif message is None or command == "rset":
            pass
        elif command == "body":
            self._on_body_reply(message, reply)
        elif command == "mail" and not message.first and reply[0] in (CLOSING, _BAD_SEQUENCE):
            self.abort(f"the connection could not be reused: {shown_reply(reply)}")
        elif command in _STAGES:
            self._on_command_reply(message, command, reply)

    def _on_command_reply(self, message: OutgoingMessage, stage: Stage, reply: ReplyLines) -> None:
        """Only the first refusal is the message's outcome."""
        code = reply[0]
        if stage == "data":
            self._text_expected = code == _GO_AHEAD
        elif stage == "rcpt":
            self._recipient_accepted = code < 300
        if message.done:
            self._clean_up(stage)
        elif not (self._text_expected if stage == "data" else code < 300):
            self._refuse(message, stage, reply)

    def _refuse(self, message: OutgoingMessage, stage: Stage, reply: ReplyLines) -> None:
        message.finish(parse_reply(reply, stage))
        self._unsent.clear()
        # Where one of Postfix's filters was away for a moment, it refuses every further message of this connection.
        self._sender_refused = stage == "mail" and 400 <= reply[0] < 500
        if not 400 <= reply[0] < 600:
            self.abort("a reply that does not fit the command")
        elif not self._pending:
            self._current = None

    def _clean_up(self, stage: Stage) -> None:
        """Make the connection ready for the next message after a refusal, or end it.

        A server may expect the text although it refused the recipient: it gets a lone dot
        (RFC 2920 §3.1), and its reply to that is ignored.
        """
        if stage == "data" and not self._text_expected:
            self._current = None
        elif stage == "data" and self._recipient_accepted:
            self.abort("the server expects the text of a message whose sender it refused")

    def _on_body_reply(self, message: OutgoingMessage, reply: ReplyLines) -> None:
        if 300 <= reply[0] < 400:
            self.abort("a reply that does not fit the command")
            return
        outcome = parse_reply(reply, "body")
        message.on_reply(outcome)  # before anything else, see OnReply
        if self._slot:
            self._source.window.answered(self._slot)
            self._slot = None
        message.finish(outcome)
        now = self._loop.time()
        self._reply_time = now - self._text_written_at
        self._current, self._next = self._next, None
        if self._next_moved:
            self.abort("the next message was moved to another connection")
        elif self._current:
            self.set_deadline(now + self._timeouts.command)
        else:
            self._mail_open = reply[0] >= 300

    # Errors

    def timed_out(self) -> None:
        if following := self._next:
            self._drop_next(following)
            self._source.submit(following)
            self.set_deadline(self._text_written_at + self._timeouts.answer)
        else:
            self.abort("no complete reply within the time limit")

    def _drop_next(self, following: OutgoingMessage) -> None:
        following.connection = self._next = None
        self._next_moved = True
        for _ in _STAGES:
            self._pending.pop()

    def lost(self) -> None:
        current, following, slot = self._current, self._next, self._slot
        self._current = self._next = self._slot = None
        if slot:
            self._source.window.leave(slot)
        if current and not current.done:
            self._end(current)
        if following:
            self._move(following)

    def _end(self, message: OutgoingMessage) -> None:
        if message.written:
            message.finish(Unanswered(self.close_reason))
        elif message.first:
            message.finish(Dropped(self.close_reason))
        else:  # the messages before it may be the cause
            self._move(message)

    def _move(self, message: OutgoingMessage) -> None:
        message.connection = None
        self._source.retry_alone(message)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._source.closed(self)
