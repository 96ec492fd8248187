"""Maps the result of an attempt to the delivery's outcome."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class OutcomePolicy:
    """Applies the rules of `domain.retry`. Trips or resets the breaker, and pauses a domain that asks for it."""

    packer: Packer
    breaker: Breaker
    rate_limiter: RateLimiter
    jitter: Callable[[], float]

    def after_reply(self, claimed: Claimed, reply: Reply, attempt: AttemptRecord) -> Outcome:
        decision = decide(
            reply,
            attempts=claimed.attempts + 1,
            first_refused_at=claimed.first_refused_at,
            now=attempt.ended_at,
            jitter=self.jitter(),
        )
        if isinstance(decision, Ours):
            self._trip(f"the mail server does not accept us: {reply.code} {reply.text}")
            # Where only the text says so, it may concern this letter alone: other due letters are sent before it.
            due_at = None if reply.code in NOT_LOGGED_IN else attempt.ended_at
            return settlements.given_back(claimed, attempt.ended_at, due_at)
        if isinstance(decision, RetryAt) and decision.slow == "server":
            self._trip(f"the mail server asks for a pause: {reply.code} {reply.text}")
            return settlements.transient_failure(claimed, attempt._replace(reason=decision.reason), decision.at)
        if self.breaker.reset():
            log.info("mail server available again")
        if isinstance(decision, Delivered):
            return settlements.sent(claimed, attempt)
        if isinstance(decision, RetryAt) and decision.slow == "domain":
            self.rate_limiter.pause(claimed.domain_hmac)
        return self._refused(claimed, decision, attempt)

    def after_transport_error(self, claimed: Claimed, error: TransportError, attempt: AttemptRecord) -> Outcome:
        match error:
            case Unavailable():
                self._trip(str(error))
            case Unanswered():
                return self._unanswered(claimed, attempt)
            case Dropped():
                return self._refused(claimed, self._dropped(claimed, attempt), attempt)
        # An outage, or the hand-over could not be recorded, or the claim was lost.
        return settlements.given_back(claimed, attempt.ended_at)

    def after_exception(self, claimed: Claimed, error: BaseException, attempt: AttemptRecord) -> Outcome:
        """Map a cancellation at the end of the grace time, or an error of our own."""
        cancelled = isinstance(error, asyncio.CancelledError)
        if not cancelled:
            log.error("delivery failed", delivery=claimed.id, exc_info=error)
        if attempt.handed_over_at:
            return self._unanswered(claimed, attempt)
        if cancelled:
            return settlements.given_back(claimed, attempt.ended_at)
        return self._refused(claimed, self._dropped(claimed, attempt), attempt)

    def hold(self, claimed: Claimed, now: datetime, reason: HeldReason) -> Outcome:
        """The writer is notified of an address known not to exist as if it had refused the letter."""
        if reason is not HeldReason.UNDELIVERABLE:
            return settlements.held_back(claimed, now, reason)
        try:
            return settlements.held_back(claimed, now, reason, self.packer.refusal_notice(claimed, now))
        except KeyMissing:
            return settlements.held_back(claimed, now, HeldReason.UNREADABLE)

    def _dropped(self, claimed: Claimed, attempt: AttemptRecord) -> RetryAt | Failed:
        return dropped(
            attempts=claimed.attempts + 1,
            first_refused_at=claimed.first_refused_at,
            now=attempt.ended_at,
            jitter=self.jitter(),
        )

    def _unanswered(self, claimed: Claimed, attempt: AttemptRecord) -> Outcome:
        decision = self._dropped(claimed, attempt)
        due_at = decision.at if isinstance(decision, RetryAt) else attempt.ended_at
        return settlements.unanswered(claimed, attempt, due_at)

    def _refused(self, claimed: Claimed, decision: RetryAt | Failed, attempt: AttemptRecord) -> Outcome:
        attempt = attempt._replace(reason=decision.reason)
        if isinstance(decision, RetryAt):
            return settlements.transient_failure(claimed, attempt, decision.at)
        log.warning("delivery failed permanently", delivery=claimed.id, reason=decision.reason)
        notice = self.packer.refusal_notice(claimed, attempt.ended_at)
        # A refusal of name+tag says nothing about name.
        undeliverable = decision.blocks_address and not self.packer.is_alias(claimed)
        return settlements.permanent_failure(claimed, attempt, undeliverable=undeliverable, notice=notice)

    def _trip(self, reason: str) -> None:
        trouble = redacted(reason)
        if self.breaker.trip(trouble):
            log.error("mail server unavailable, letters wait", trouble=trouble)
