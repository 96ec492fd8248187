"""Which message goes over which connection, and when."""

import asyncio
from collections import deque

from app.clock import Clock
from app.mail.envelope import Unavailable
from app.mail.smtp.connection import OutgoingMessage, SmtpConnection
from app.mail.smtp.window import InFlightWindow

_FEW = 4  # connections, of which none can be kept free


class Pool:
    """Gives each message the most recently used idle connection, else a new one, else the next that becomes free.

    `connections` counts those that are being opened or closed, too. A few are kept free of any
    single domain: should the server stop answering for it, the others do not wait for its timeouts.
    """

    def __init__(self, *, connections: int, messages_per_connection: int, idle_time: float, clock: Clock) -> None:
        self.window = InFlightWindow(connections, clock)
        self._connections = self._free = connections
        self._domain_limit = connections if connections < _FEW else connections - max(1, connections // 5)
        self._connecting: set[OutgoingMessage] = set()
        self._messages = messages_per_connection
        self._idle_time = idle_time
        self._clock = clock
        self._open: set[SmtpConnection] = set()
        self._idle: deque[tuple[SmtpConnection, float]] = deque()  # the most recently used at the right
        self._waiting: deque[OutgoingMessage] = deque()
        self._alone: deque[OutgoingMessage] = deque()  # each waits for a new connection
        self._sweep: asyncio.TimerHandle | None = None
        self._refused: list[asyncio.TimerHandle] = []  # each releases a connection that the server did not accept

    # For messages

    def submit(self, message: OutgoingMessage) -> None:
        if self._count(message.domain) >= self._domain_limit:
            self._waiting.append(message)
        elif connection := self._take_idle():
            self.start(connection, message)
        elif self._free:
            self._free -= 1
            self._connect(message)
        else:
            self._waiting.append(message)

    def retry_alone(self, message: OutgoingMessage) -> None:
        """Start a message again that lost its connection, and may be the cause.

        It gets a new connection, so that no other message is lost with it: the one that it lost has
        been released, or is about to be.
        """
        if not message.cancelled:
            self._alone.append(message)
            if self._free:
                self._free -= 1
                self.release()

    def cancel(self, message: OutgoingMessage) -> None:
        if message.cancel():
            self._connecting.discard(message)
            self.release()

    def not_connected(self, message: OutgoingMessage, error: Unavailable) -> None:
        """Use the open connections only, or, where there are none, end all that waits.

        Some servers accept fewer connections than we may open: then another is tried after the idle time.
        """
        self._connecting.discard(message)
        others = self._connections - self._free - len(self._refused) - 1
        if others and not error.permanent:
            self._refused.append(asyncio.get_running_loop().call_later(self._idle_time, self._release_refused))
            if connection := self._take_idle():
                self.start(connection, message)
            else:
                self._waiting.append(message)
            return
        for each in (message, *self._alone, *self._waiting):
            each.finish(Unavailable(str(error), permanent=error.permanent))
        self._alone.clear()
        self._waiting.clear()
        self.release()
        while self._refused:
            self._refused[-1].cancel()
            self._release_refused()

    # For connections

    def reserve(self) -> None:
        self._free -= 1

    def release(self) -> None:
        """Let the next message connect in place of a connection that is gone."""
        while self._alone:
            message = self._alone.popleft()
            if not message.cancelled:
                self._connect(message)
                return
        if following := self._take_waiting(set()):
            self._connect(following)
        else:
            self._free += 1

    def opened(self, connection: SmtpConnection) -> None:
        self._open.add(connection)

    def closed(self, connection: SmtpConnection) -> None:
        self._open.discard(connection)
        self.release()

    def start(self, connection: SmtpConnection, message: OutgoingMessage) -> None:
        self._connecting.discard(message)
        if connection.fits(message):
            connection.start(message)
        else:
            self.reuse(connection)

    def reuse(self, connection: SmtpConnection) -> None:
        if message := self.next_for(connection):
            connection.start(message)
        elif connection.message_count < self._messages:
            self._idle.append((connection, self._clock.monotonic()))
            if self._sweep is None:
                self._sweep = asyncio.get_running_loop().call_later(self._idle_time, self._close_idle)
        else:
            connection.quit()

    def record(self, message: OutgoingMessage) -> None:
        """Start the hand-over of a message, and in the same statement those of the messages that wait.

        A commit for each would cost more than all else. A message that is recorded and never
        written is not uncertain: its worker's journal says so.
        """
        message.record()
        for waiting in reversed(self._waiting):
            if waiting.recording:  # and so are all before it
                break
            waiting.record()

    def next_for(self, connection: SmtpConnection) -> OutgoingMessage | None:
        while connection.message_count < self._messages and (message := self._take_waiting(connection.domains)):
            if connection.fits(message):
                return message
        return None

    def _take_waiting(self, domains: set[str]) -> OutgoingMessage | None:
        """Take the first waiting message that may go over a connection with messages to these domains."""
        skipped = deque[OutgoingMessage]()
        allowed = None
        while self._waiting and allowed is None:
            message = self._waiting.popleft()
            if message.cancelled:
                continue
            if message.domain in domains or self._count(message.domain) < self._domain_limit:
                allowed = message
            else:
                skipped.append(message)
        self._waiting.extendleft(reversed(skipped))
        return allowed

    def _count(self, domain: str) -> int:
        """Return how many connections a domain's messages are on, or are being opened for them."""
        connecting = sum(message.domain == domain for message in self._connecting)
        return connecting + sum(domain in connection.domains for connection in self._open)

    def _connect(self, message: OutgoingMessage) -> None:
        self._connecting.add(message)
        message.connect()

    def _take_idle(self) -> SmtpConnection | None:
        while self._idle:
            connection, since = self._idle.pop()
            if connection.usable:
                if self._clock.monotonic() - since < self._idle_time:
                    return connection
                connection.quit()
        return None

    def _release_refused(self) -> None:
        self._refused.pop()
        self.release()

    async def close(self) -> None:
        if self._sweep:
            self._sweep.cancel()
            self._sweep = None
        self._idle.clear()
        for timer in self._refused:
            timer.cancel()
        closing = list(self._open)
        for connection in closing:
            connection.quit()
        for connection in closing:
            await connection.closed.wait()

    def _close_idle(self) -> None:
        self._sweep = None
        now = self._clock.monotonic()
        for connection, since in self._idle:
            if now - since >= self._idle_time:
                connection.quit()
        self._idle = deque(entry for entry in self._idle if entry[0].usable)
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(self._idle_time, self._close_idle)
