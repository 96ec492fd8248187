"""Which letter goes over which connection, and when."""

import asyncio
from collections import deque

from app.clock import Clock
from app.mail.envelope import Unavailable
from app.mail.smtp.connection import SmtpConnection
from app.mail.smtp.outgoing import OutgoingMessage
from app.mail.smtp.window import InFlightWindow

_FEW = 4  # connections, of which none can be kept free


class Pool:
    """Gives each letter a connection: the one that rests since least, a new one, or the next to be free.

    Every connection, one that is just being made or taking leave too, has one of the seats. So
    there are never more than `connections` of them. A few stay free of any single domain, and on a
    connection of a domain that has more than half of them no other letter follows: should the
    server stop answering for that domain, the others do not wait for its time-outs.
    """

    def __init__(self, *, connections: int, messages_per_connection: int, idle_time: float, clock: Clock) -> None:
        self.window = InFlightWindow(connections, clock)
        self._connections = self._free = connections
        self._most = connections if connections < _FEW else connections - max(1, connections // 5)
        self._connecting: set[OutgoingMessage] = set()
        self._messages = messages_per_connection
        self._idle_time = idle_time
        self._clock = clock
        self._open: set[SmtpConnection] = set()
        self._resting: deque[tuple[SmtpConnection, float]] = deque()  # used last, rested least: at the right
        self._waiting: deque[OutgoingMessage] = deque()
        self._alone: deque[OutgoingMessage] = deque()  # these wait for a connection of their own
        self._sweep: asyncio.TimerHandle | None = None
        self._shut: list[asyncio.TimerHandle] = []  # each reopens a seat that the server had no connection for

    # For letters

    def admit(self, passage: OutgoingMessage) -> None:
        """Start a letter on its way, or let it wait."""
        if self._held_by(passage.domain) >= self._most:
            self._waiting.append(passage)
        elif conversation := self._rested():
            self.start(conversation, passage)
        elif self._free:
            self._free -= 1
            self._connect(passage)
        else:
            self._waiting.append(passage)

    def readmit_alone(self, passage: OutgoingMessage) -> None:
        """Start a letter anew that lost its connection, perhaps by its own doing.

        It gets a new connection, so that no other letter can be drawn into its fate: the one
        that it lost has left its seat, or is about to.
        """
        if not passage.withdrawn:
            self._alone.append(passage)
            if self._free:
                self._free -= 1
                self.leave_seat()

    def withdraw(self, passage: OutgoingMessage) -> None:
        """Forget a letter whose sender waits no more."""
        if passage.withdraw():
            self._connecting.discard(passage)
            self.leave_seat()

    def not_connected(self, passage: OutgoingMessage, outage: Unavailable) -> None:
        """Say what becomes of a letter, and of those that wait, where no connection could be had for it.

        Some servers take fewer at a time than we might open: then the letters go over those there
        are, and a while passes before another is tried. Where there are none, it is everybody's outage.
        """
        self._connecting.discard(passage)
        others = self._connections - self._free - len(self._shut) - 1
        if others and not outage.ours:
            self._shut.append(asyncio.get_running_loop().call_later(self._idle_time, self._reopen))
            if conversation := self._rested():
                self.start(conversation, passage)
            else:
                self._waiting.append(passage)
            return
        for each in (passage, *self._alone, *self._waiting):
            each.end(Unavailable(str(outage), ours=outage.ours))
        self._alone.clear()
        self._waiting.clear()
        self.leave_seat()
        while self._shut:
            self._shut[-1].cancel()
            self._reopen()

    # For connections

    def take_seat(self) -> None:
        """Take a seat for a connection that no letter asked for."""
        self._free -= 1

    def leave_seat(self) -> None:
        """Let the next one connect."""
        while self._alone:
            passage = self._alone.popleft()
            if not passage.withdrawn:
                self._connect(passage)
                return
        if following := self._next(set()):
            self._connect(following)
        else:
            self._free += 1

    def opened(self, conversation: SmtpConnection) -> None:
        self._open.add(conversation)

    def closed(self, conversation: SmtpConnection) -> None:
        self._open.discard(conversation)
        self.leave_seat()

    def start(self, conversation: SmtpConnection, passage: OutgoingMessage) -> None:
        """Begin a letter on a connection that is free."""
        self._connecting.discard(passage)
        if conversation.takes(passage):
            conversation.begin(passage)
        else:
            self.rest(conversation)

    def rest(self, conversation: SmtpConnection) -> None:
        """Begin the next letter on a connection that has become free, or keep it for one."""
        if passage := self.follower(conversation):
            conversation.begin(passage)
        elif conversation.carried < self._messages:
            self._resting.append((conversation, self._clock.monotonic()))
            if self._sweep is None:
                self._sweep = asyncio.get_running_loop().call_later(self._idle_time, self._take_leave)
        else:
            conversation.leave()

    def record(self, passage: OutgoingMessage) -> None:
        """Have a hand-over put on record, and in the same statement those of the letters that wait.

        A commit for each would cost more than all else. A letter that is on record and never
        begun is in no doubt: its worker's journal says so.
        """
        passage.record()
        for waiting in reversed(self._waiting):
            if waiting.recording:  # and so are all before it
                break
            waiting.record()

    def follower(self, conversation: SmtpConnection) -> OutgoingMessage | None:
        """Take the next letter that this connection is to carry out of those that wait."""
        while conversation.carried < self._messages and (passage := self._next(conversation.domains)):
            if conversation.takes(passage):
                return passage
        return None

    def _next(self, carried: set[str]) -> OutgoingMessage | None:
        """Take the first waiting letter that may go over a connection with letters to these domains."""
        skipped = deque[OutgoingMessage]()
        found = None
        while self._waiting and found is None:
            passage = self._waiting.popleft()
            if passage.withdrawn:
                continue
            if self._may_follow(passage.domain, carried):
                found = passage
            else:
                skipped.append(passage)
        self._waiting.extendleft(reversed(skipped))
        return found

    def _may_follow(self, domain: str, carried: set[str]) -> bool:
        if domain in carried:
            return True
        half = self._connections / 2
        return self._held_by(domain) < self._most and all(self._held_by(other) <= half for other in carried)

    def _held_by(self, domain: str) -> int:
        """Return how many connections a domain's letters are on, or are being made for them."""
        connecting = sum(passage.domain == domain for passage in self._connecting)
        return connecting + sum(domain in conversation.domains for conversation in self._open)

    def _connect(self, passage: OutgoingMessage) -> None:
        self._connecting.add(passage)
        passage.connect()

    def _rested(self) -> SmtpConnection | None:
        """Return a connection that is free, the one used last; say QUIT on those that rested too long."""
        while self._resting:
            conversation, since = self._resting.pop()
            if conversation.usable:
                if self._clock.monotonic() - since < self._idle_time:
                    return conversation
                conversation.leave()
        return None

    def _reopen(self) -> None:
        self._shut.pop()
        self.leave_seat()

    # The end

    async def close(self) -> None:
        """Take leave on every connection, and wait until each has ended; nothing is in flight any more."""
        if self._sweep:
            self._sweep.cancel()
            self._sweep = None
        self._resting.clear()
        for reopening in self._shut:
            reopening.cancel()
        leaving = list(self._open)
        for conversation in leaving:
            conversation.leave()
        for conversation in leaving:
            await conversation.closed.wait()

    def _take_leave(self) -> None:
        """Say QUIT where nothing has been sent for the idle time."""
        self._sweep = None
        now = self._clock.monotonic()
        for conversation, since in self._resting:
            if now - since >= self._idle_time:
                conversation.leave()
        self._resting = deque(entry for entry in self._resting if entry[0].usable)
        if self._resting:
            self._sweep = asyncio.get_running_loop().call_later(self._idle_time, self._take_leave)
