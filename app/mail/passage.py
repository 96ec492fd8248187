"""One letter's way over a connection: what its sender and the connection know of each other."""

import asyncio
from enum import Enum, auto
from typing import Protocol

from app.domain.retry import Reply
from app.mail.envelope import Answered, Begun, Envelope, TransportError


class Step(Enum):
    """What the sender is to do next."""

    WAIT = auto()
    CONNECT = auto()
    """Open a connection: a seat is theirs."""
    RECORD = auto()
    """Put the hand-over on record. Asked for once."""


class Carrier(Protocol):
    """The connection that a letter goes over."""

    def go_on(self, passage: "Passage") -> None:
        """Write its text, now that the hand-over is on record, as soon as the server waits for it."""

    def withdraw(self, passage: "Passage") -> None:
        """Have nothing more to do with it, whatever that costs the connection."""


class Passage:
    """Moved on by connections as answers arrive; its sender follows in a coroutine."""

    __slots__ = (
        "_asked",
        "_outcome",
        "_waker",
        "answered",
        "begun",
        "carrier",
        "ended",
        "envelope",
        "first",
        "recorded",
        "step",
        "withdrawn",
        "written",
    )

    def __init__(self, envelope: Envelope, begun: Begun, answered: Answered) -> None:
        self.envelope = envelope
        self.begun = begun
        self.answered = answered
        self.step = Step.WAIT
        self.carrier: Carrier | None = None
        self.first = False
        """Nothing was carried before it on its connection, so whatever befalls that befalls it."""
        self.recorded = False
        self.written = False
        """Its text is on the way, and may have arrived even if no answer does."""
        self.ended = False
        self.withdrawn = False
        """Its sender waits no more."""
        self._asked = False
        self._outcome: Reply | TransportError | None = None
        self._waker: asyncio.Future[None] | None = None

    async def next_step(self) -> Step:
        """Wait until there is something to do, or nothing any more: then WAIT is returned."""
        while self.step is Step.WAIT and not self.ended:
            self._waker = asyncio.get_running_loop().create_future()
            await self._waker
        step, self.step = self.step, Step.WAIT
        return step

    def result(self) -> Reply:
        """Return the reply it ended with. Raises the TransportError it ended with instead."""
        if isinstance(self._outcome, Reply):
            return self._outcome
        if self._outcome is None:
            raise RuntimeError("it has not ended")
        raise self._outcome

    def connect(self) -> None:
        self._move(Step.CONNECT)

    def record(self) -> None:
        if not self._asked:
            self._asked = True
            self._move(Step.RECORD)

    def on_record(self) -> None:
        """Go on, now that the hand-over is on record."""
        self.recorded = True
        if self.carrier:
            self.carrier.go_on(self)

    def end(self, outcome: Reply | TransportError) -> None:
        self.ended, self._outcome, self.carrier = True, outcome, None
        self._move(Step.WAIT)

    def _move(self, step: Step) -> None:
        self.step = step
        if self._waker and not self._waker.done():
            self._waker.set_result(None)
