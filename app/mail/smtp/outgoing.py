"""One letter's way over a connection: what its sender and the connection know of each other."""

import asyncio
from typing import Protocol

from app.domain.retry import Reply
from app.mail.envelope import ClaimLost, Envelope, HandOver, OnAnswered, OnBegun, TransportError


class Carrier(Protocol):
    """The connection that a letter goes over."""

    def go_on(self, passage: "OutgoingMessage") -> None:
        """Finish its text, now that the hand-over is on record, as soon as the server waits for it."""

    def withdraw(self, passage: "OutgoingMessage") -> None:
        """Have nothing more to do with it, whatever that costs the connection."""


class OutgoingMessage:
    """Moved on by connections as answers arrive; its sender's coroutine sleeps until there is no other way."""

    __slots__ = (
        "_broken",
        "_connecting",
        "_hand_over",
        "_outcome",
        "_recording",
        "_waker",
        "answered",
        "begun",
        "carrier",
        "domain",
        "ended",
        "envelope",
        "first",
        "recorded",
        "withdrawn",
        "written",
    )

    def __init__(self, envelope: Envelope, hand_over: HandOver, begun: OnBegun, answered: OnAnswered) -> None:
        self.envelope = envelope
        self.domain = envelope.recipient.rpartition("@")[2].lower()
        self.begun = begun
        self.answered = answered
        self.carrier: Carrier | None = None
        self.first = False
        """Nothing was carried before it on its connection, so whatever befalls that befalls it."""
        self.recorded = False
        self.written = False
        """Its text is on the way, and may have arrived even if no answer does."""
        self.ended = False
        self.withdrawn = False
        """Its sender waits no more."""
        self._hand_over = hand_over
        self._recording: asyncio.Future[bool] | None = None
        self._connecting = False
        self._broken: BaseException | None = None
        self._outcome: Reply | TransportError | None = None
        self._waker: asyncio.Future[None] | None = None

    # For its sender

    async def wants_connection(self) -> bool:
        """Wait until a connection is to be opened for it, whose seat is ours; False: it has ended.

        Raises ClaimLost where it is another worker's, and what the hand-over raised.
        """
        while not (self.ended or self._connecting):
            if self._broken:
                raise self._broken
            self._waker = asyncio.get_running_loop().create_future()
            await self._waker
        wanted, self._connecting = self._connecting, False
        return wanted

    def result(self) -> Reply:
        """Return the reply it ended with. Raises the TransportError it ended with instead."""
        if isinstance(self._outcome, Reply):
            return self._outcome
        if self._outcome is None:
            raise RuntimeError("it has not ended")
        raise self._outcome

    def withdraw(self) -> bool:
        """Have nothing more come of it; returns whether a seat was given to it that it did not use."""
        self.withdrawn = True
        if self._recording:
            self._recording.cancel()
        if self.carrier:
            self.carrier.withdraw(self)
        return self._connecting

    # For connections

    def connect(self) -> None:
        self._connecting = True
        self._wake()

    @property
    def recording(self) -> bool:
        """Whether its hand-over was asked for."""
        return self._recording is not None

    def record(self) -> None:
        """Have the hand-over put on record, if nobody has asked for that yet."""
        if self._recording is None:
            self._recording = asyncio.ensure_future(self._hand_over())
            self._recording.add_done_callback(self._on_record)

    def end(self, outcome: Reply | TransportError) -> None:
        self.ended, self._outcome, self.carrier = True, outcome, None
        self._wake()

    def _on_record(self, recording: "asyncio.Future[bool]") -> None:
        broken = asyncio.CancelledError() if recording.cancelled() else recording.exception()
        if self.ended or self.withdrawn:
            return
        if broken or not recording.result():
            self._broken = broken or ClaimLost("another worker has taken this delivery over")
            self._wake()
            return
        self.recorded = True
        if self.carrier:
            self.carrier.go_on(self)

    def _wake(self) -> None:
        if self._waker and not self._waker.done():
            self._waker.set_result(None)
