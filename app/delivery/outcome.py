"""From what befell a delivery to how its claim ends, and what that means for the letters behind it."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from app.delivery.breaker import Breaker
from app.delivery.packing import Packer
from app.delivery.rate_limit import RateLimiter
from app.domain.address import redacted
from app.domain.refusal import NOT_LOGGED_IN
from app.domain.retry import Delivered, Failed, Ours, Reply, RetryAt, decide, dropped
from app.domain.status import HeldReason
from app.errors import KeyMissing
from app.mail.envelope import Dropped, TransportError, Unanswered, Unavailable
from app.store import settlements
from app.store.claims import Claimed
from app.store.settlements import AttemptRecord, Outcome

log = structlog.get_logger()


class OutcomePolicy:
    """Knows the rules of `domain.retry`, and tells breaker and pace what the server wants."""

    def __init__(
        self, packer: Packer, breaker: Breaker, rate_limiter: RateLimiter, jitter: Callable[[], float]
    ) -> None:
        self._packer = packer
        self._breaker = breaker
        self._rate_limiter = rate_limiter
        self._jitter = jitter

    def after_reply(self, claimed: Claimed, reply: Reply, tried: AttemptRecord) -> Outcome:
        """Return what a server's reply leads to."""
        decision = decide(
            reply,
            attempts=claimed.attempts + 1,
            first_refused_at=claimed.first_refused_at,
            now=tried.ended_at,
            jitter=self._jitter(),
        )
        if isinstance(decision, Ours):
            self._trip(f"the mail server does not accept us: {reply.code} {reply.text}")
            # What is said of us in words may hold for this letter alone: the others that are due go before it.
            due_at = None if reply.code in NOT_LOGGED_IN else tried.ended_at
            return settlements.given_back(claimed, tried.ended_at, due_at)
        if isinstance(decision, RetryAt) and decision.slow == "server":
            self._trip(f"the mail server asks for a pause: {reply.code} {reply.text}")
            return settlements.refused_for_now(claimed, tried._replace(reason=decision.reason), decision.at)
        if self._breaker.reset():
            log.info("the mail server answers again")
        if isinstance(decision, Delivered):
            return settlements.sent(claimed, tried)
        if isinstance(decision, RetryAt) and decision.slow == "domain":
            self._rate_limiter.pause(claimed.domain_hmac)
        return self._refused(claimed, decision, tried)

    def after_transport_error(self, claimed: Claimed, error: TransportError, tried: AttemptRecord) -> Outcome:
        """Return what follows where no reply came."""
        match error:
            case Unavailable():
                self._trip(str(error))
            case Unanswered():
                return self._unanswered(claimed, tried)
            case Dropped():
                return self._refused(claimed, self._dropped(claimed, tried), tried)
        # An outage; or the hand-over could not be put on record, or not as ours any more.
        return settlements.given_back(claimed, tried.ended_at)

    def after_exception(self, claimed: Claimed, error: BaseException, tried: AttemptRecord) -> Outcome:
        """Return what follows where we gave up ourselves: called back at the end, or by a fault of ours."""
        called_back = isinstance(error, asyncio.CancelledError)
        if not called_back:
            log.error("a delivery failed in an unforeseen way", delivery=claimed.id, exc_info=error)
        if tried.handed_over_at:
            return self._unanswered(claimed, tried)
        if called_back:
            return settlements.given_back(claimed, tried.ended_at)
        return self._refused(claimed, self._dropped(claimed, tried), tried)

    def hold(self, claimed: Claimed, now: datetime, reason: HeldReason) -> Outcome:
        """Hold it back; who wrote to an address that is known not to exist is told, as if it had been refused."""
        if reason is not HeldReason.UNDELIVERABLE:
            return settlements.held_back(claimed, now, reason)
        try:
            return settlements.held_back(claimed, now, reason, self._packer.refusal_notice(claimed, now))
        except KeyMissing:
            return settlements.held_back(claimed, now, HeldReason.UNREADABLE)

    def _dropped(self, claimed: Claimed, tried: AttemptRecord) -> RetryAt | Failed:
        return dropped(
            attempts=claimed.attempts + 1,
            first_refused_at=claimed.first_refused_at,
            now=tried.ended_at,
            jitter=self._jitter(),
        )

    def _unanswered(self, claimed: Claimed, tried: AttemptRecord) -> Outcome:
        decision = self._dropped(claimed, tried)
        return settlements.unanswered(claimed, tried, decision.at if isinstance(decision, RetryAt) else tried.ended_at)

    def _refused(self, claimed: Claimed, decision: RetryAt | Failed, tried: AttemptRecord) -> Outcome:
        tried = tried._replace(reason=decision.reason)
        if isinstance(decision, RetryAt):
            return settlements.refused_for_now(claimed, tried, decision.at)
        log.warning("a delivery failed for good", delivery=claimed.id, reason=decision.reason)
        notice = self._packer.refusal_notice(claimed, tried.ended_at)
        # A refusal of name+nonsense says nothing about name.
        dead = decision.blocks_address and not self._packer.is_alias(claimed)
        return settlements.refused_for_good(claimed, tried, undeliverable=dead, notice=notice)

    def _trip(self, said: str) -> None:
        trouble = redacted(said)
        if self._breaker.trip(trouble):
            log.error("the mail server cannot be used; letters wait", trouble=trouble)
