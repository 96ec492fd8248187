"""Carries one claimed delivery: compose, send, settle."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from app.clock import Clock
from app.delivery.breaker import Breaker
from app.delivery.group import Group
from app.delivery.membership import Membership
from app.delivery.pace import Pace
from app.delivery.packing import Packer
from app.domain.retry import Delivered, Failed, Ours, Reply, RetryAt, decide, dropped
from app.domain.status import HeldReason, Status
from app.errors import KeyMissing
from app.mail.envelope import ClaimLost, Dropped, Envelope, Outage, Transport, Unanswered
from app.store import claims, settlements
from app.store.claims import Claimed
from app.store.database import is_unavailable
from app.store.settlements import Ending, Try

log = structlog.get_logger()
_GROUP = 500
_DATABASE_PAUSE = 1.0  # seconds between tries to record an ending while the database is away


class Courier:
    """Shared by all deliveries in flight of this process. `settled` counts how they ended."""

    def __init__(
        self,
        *,
        packer: Packer,
        transport: Transport,
        breaker: Breaker,
        pace: Pace,
        membership: Membership,
        clock: Clock,
        catch_up_limit: timedelta,
        jitter: Callable[[], float],
    ) -> None:
        self._packer = packer
        self._transport = transport
        self._breaker = breaker
        self._pace = pace
        self._membership = membership
        self._clock = clock
        self._catch_up_limit = catch_up_limit
        self._jitter = jitter
        self._hand_overs = Group(self._write_hand_overs, key=lambda claimed: claimed.id, limit=_GROUP)
        self._endings = Group(self._write_endings, key=lambda ending: ending.claimed.id, limit=_GROUP)
        self.settled: Counter[Status] = Counter()

    async def carry(self, claimed: Claimed) -> None:
        """Bring one claim to its end. Raises nothing: whatever happens is settled and logged."""
        started_at = self._clock.now()
        if self._pace.start(claimed.domain_mac):
            try:
                ending = await self._end(claimed, started_at)
            finally:
                self._pace.finish(claimed.domain_mac)
        else:
            ending = settlements.given_back(claimed, started_at)
        await self._settle(ending)

    async def all_recorded(self) -> None:
        """Wait until every ending of a delivery that was called back is written too."""
        await self._endings.drained()

    async def _end(self, claimed: Claimed, now: datetime) -> Ending:
        if claimed.undeliverable:
            return settlements.held_back(claimed, now, HeldReason.UNDELIVERABLE)
        if now - claimed.due_at > self._catch_up_limit:
            return settlements.held_back(claimed, now, HeldReason.OVERDUE)
        try:
            envelope = self._packer.pack(claimed, now)
        except (KeyMissing, ValueError) as error:
            log.error("a letter cannot be composed", delivery=claimed.id, error=str(error))
            return settlements.held_back(claimed, now, HeldReason.UNREADABLE)
        return await self._send(claimed, envelope, now)

    async def _send(self, claimed: Claimed, envelope: Envelope, started_at: datetime) -> Ending:
        """Hand one message over. The only broad catch: a delivery must never be left claimed."""
        handed_over_at: datetime | None = None

        async def hand_over() -> bool:
            nonlocal handed_over_at
            at = self._clock.now()
            ours = await self._hand_overs.add(claimed)
            handed_over_at = at if ours else None
            return ours

        def tried(reply: Reply | None = None, remark: str = "") -> Try:
            return Try(started_at, handed_over_at, self._clock.now(), reply, remark)

        try:
            reply = await self._transport.send(envelope, hand_over)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
            return self._broken_off(claimed, error, tried(remark=str(error) or type(error).__name__))
        return self._judged(claimed, reply, tried(reply))

    def _broken_off(self, claimed: Claimed, error: BaseException, tried: Try) -> Ending:
        """Return what follows where the server gave no reply."""
        match error:
            case Outage():
                self._trip(str(error))
                return settlements.given_back(claimed, tried.ended_at)
            case ClaimLost():
                return settlements.given_back(claimed, tried.ended_at)
            case Dropped() | Unanswered():
                return self._without_reply(claimed, tried)
        # Called back at the end of the grace time, or the hand-over could not be put on record.
        if isinstance(error, asyncio.CancelledError) or is_unavailable(error):
            if not tried.handed_over_at:
                return settlements.given_back(claimed, tried.ended_at)
        else:
            log.error("a delivery failed in an unforeseen way", delivery=claimed.id, exc_info=error)
        return self._without_reply(claimed, tried)

    def _judged(self, claimed: Claimed, reply: Reply, tried: Try) -> Ending:
        """Return what a server's reply leads to."""
        if self._breaker.reset():
            log.info("the mail server answers again")
        match decide(
            reply,
            attempts=claimed.attempts + 1,
            first_refused_at=claimed.first_refused_at,
            now=tried.ended_at,
            jitter=self._jitter(),
        ):
            case Delivered():
                return settlements.sent(claimed, tried)
            case Ours():
                self._trip(f"the mail server does not accept us: {reply.code} {reply.text}")
                return settlements.given_back(claimed, tried.ended_at)
            case Failed() as failed:
                return self._failed(claimed, tried, failed)
            case RetryAt(at, slow):
                if slow == "server":
                    self._trip(f"the mail server asks for a pause: {reply.code} {reply.text}")
                elif slow == "domain":
                    self._pace.rest(claimed.domain_mac)
                return settlements.refused_for_now(claimed, tried, at)

    def _without_reply(self, claimed: Claimed, tried: Try) -> Ending:
        """Put off what was not handed over; what was is uncertain."""
        decision = dropped(
            attempts=claimed.attempts + 1,
            first_refused_at=claimed.first_refused_at,
            now=tried.ended_at,
            jitter=self._jitter(),
        )
        if tried.handed_over_at:
            resend_at = decision.at if isinstance(decision, RetryAt) else tried.ended_at
            return settlements.unanswered(claimed, tried, resend_at)
        if isinstance(decision, RetryAt):
            return settlements.refused_for_now(claimed, tried, decision.at)
        return self._failed(claimed, tried, decision)

    def _failed(self, claimed: Claimed, tried: Try, failed: Failed) -> Ending:
        log.warning("a delivery failed for good", delivery=claimed.id, reason=failed.reason)
        notice = self._packer.refusal_notice(claimed, tried.ended_at)
        return settlements.refused_for_good(claimed, tried, undeliverable=failed.blocks_address, notice=notice)

    def _trip(self, trouble: str) -> None:
        if self._breaker.trip(trouble):
            log.error("the mail server cannot be used; letters wait", trouble=trouble)

    async def _settle(self, ending: Ending) -> None:
        facts = {"delivery": ending.claimed.id, "status": ending.status.value}
        try:
            ours = await self._endings.add(ending)
        except Exception:
            log.exception("an ending could not be recorded", **facts)
            return
        if not ours:
            log.warning("the claim was lost before it was settled", **facts)
            return
        self.settled[ending.status] += 1
        reply = ending.tried.reply if ending.tried else None
        log.info("settled", **facts, occasion=ending.claimed.occasion.value, code=reply.code if reply else None)

    async def _write_hand_overs(self, group: Sequence[Claimed]) -> set[int]:
        return await claims.hand_over(group, self._clock.now())

    async def _write_endings(self, group: Sequence[Ending]) -> set[int]:
        """Write until it is written: what a mail server has accepted must come on record.

        Nobody sends these again meanwhile. Our beat stands still only while we cannot write, and
        then the others cannot either.
        """
        while True:
            try:
                return await settlements.settle(group, self._membership.name)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("the database is away; endings wait", endings=len(group), error=type(error).__name__)
                await asyncio.sleep(_DATABASE_PAUSE)
