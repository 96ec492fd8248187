"""Delivers one claimed delivery: compose, send, settle."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.clock import Clock
from app.delivery.breaker import Breaker
from app.delivery.completer import Completer
from app.delivery.outcome import OutcomePolicy
from app.delivery.packing import BatchPacker
from app.delivery.rate_limit import RateLimiter
from app.domain.retry import Reply
from app.domain.status import HeldReason
from app.mail.envelope import Dropped, Envelope, Transport, TransportError
from app.store import settlements
from app.store.claims import Claimed
from app.store.settlements import AttemptRecord, Outcome

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """Shared by all deliveries in flight of this process."""

    packer: BatchPacker
    transport: Transport
    policy: OutcomePolicy
    completer: Completer
    breaker: Breaker
    rate_limiter: RateLimiter
    clock: Clock
    max_lateness: timedelta

    async def deliver(self, claimed: Claimed) -> None:
        now = self.clock.now()
        if reason := self._hold_reason(claimed, now):
            self.completer.settle(self.policy.hold(claimed, now, reason))
            return
        since = None if self.breaker.is_open else self.rate_limiter.start(claimed.domain_hmac)
        if since is None:  # an outage began, or too many of its domain were claimed with it: its `due_at` stays
            self.completer.give_back(claimed)
            return
        try:
            outcome = await self._attempt(claimed, now)
        finally:
            self.rate_limiter.finish(claimed.domain_hmac, since)
        self.completer.settle(outcome)

    def _hold_reason(self, claimed: Claimed, now: datetime) -> HeldReason | None:
        if claimed.hold_reason:
            return claimed.hold_reason
        return HeldReason.OVERDUE if now - claimed.due_at > self.max_lateness else None

    async def _attempt(self, claimed: Claimed, now: datetime) -> Outcome:
        try:
            envelope = self.packer.pack(claimed, now)
        except Exception as error:
            log.error("letter cannot be composed", delivery=claimed.id, exc_info=error)
            return settlements.held_back(claimed, now, HeldReason.UNREADABLE)
        return await self._send(claimed, envelope, now)

    async def _send(self, claimed: Claimed, envelope: Envelope, started_at: datetime) -> Outcome:
        """Catches everything: a delivery must never be left claimed."""
        progress = _Progress(claimed, started_at, self.completer, self.clock)
        try:
            with self.breaker.attempt():
                reply = await self._reply(envelope, progress)
            return self.policy.after_reply(claimed, reply, progress.record(reply))
        except TransportError as error:
            return self.policy.after_transport_error(claimed, error, progress.record(remark=str(error)))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
            return self.policy.after_exception(claimed, error, progress.record(remark=type(error).__name__))

    async def _reply(self, envelope: Envelope, progress: "_Progress") -> Reply:
        """Retry a dropped connection at once: if the server is gone, that is an outage; a second drop is charged."""
        try:
            return await self.transport.send(envelope, progress.hand_over, progress.answered, progress.begun)
        except Dropped:
            return await self.transport.send(envelope, progress.hand_over, progress.answered, progress.begun)


@dataclass(slots=True)
class _Progress:
    """Records one attempt while it runs."""

    claimed: Claimed
    started_at: datetime
    completer: Completer
    clock: Clock
    handed_over_at: datetime | None = None

    def hand_over(self) -> "asyncio.Future[bool]":
        return self.completer.hand_over(self.claimed)

    def begun(self) -> None:
        self.handed_over_at = self.clock.now()
        self.completer.begun(self.claimed)

    def answered(self, reply: Reply) -> None:
        self.completer.answered(self.claimed, reply)

    def record(self, reply: Reply | None = None, remark: str = "") -> AttemptRecord:
        return AttemptRecord(self.started_at, self.handed_over_at, self.clock.now(), reply, remark)
