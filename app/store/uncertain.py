"""Automatic transitions of uncertain deliveries; the operator's are in `operator_actions`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from uuid import UUID, uuid4

from tortoise.expressions import Subquery

from app.domain.address import redacted
from app.domain.retry import Reply
from app.domain.status import AttemptResult, Status
from app.store.database import as_parameter, connection, transaction
from app.store.execution import retried
from app.store.models import Attempt, Delivery
from app.store.sql import RESEND, numbered

RESEND_LIMIT = 5
"""How often an uncertain delivery is sent again before the operator must decide."""


async def resend_uncertain(now: datetime) -> list[int]:
    """Schedule uncertain deliveries again under the same Message-ID, unless the letter was withdrawn; return their ids.

    Each may arrive twice, so after RESEND_LIMIT the delivery stays uncertain until the operator decides.
    """
    resent = await connection().execute_query_dict(numbered(RESEND), [as_parameter(now), RESEND_LIMIT])
    return [row["id"] for row in resent]


@retried
async def settle_late_reply(delivery: int, token: UUID, at: datetime, reply: Reply) -> bool:
    """Settle an uncertain delivery as sent by a reply that arrived late. False: it is no longer uncertain."""
    attempts = Attempt.filter(delivery_id=delivery, claim_token=token, outcome=AttemptResult.UNANSWERED)
    async with transaction():
        uncertain = Delivery.filter(id__in=Subquery(attempts.values("delivery_id")), status=Status.UNCERTAIN)
        if not await uncertain.update(status=Status.SENT, status_at=at, sent_at=at):
            return False
        unanswered = await attempts.get()
        await Attempt.create(
            delivery_id=delivery,
            claim_token=uuid4(),
            worker_name=unanswered.worker_name,
            started_at=unanswered.started_at,
            handed_over_at=unanswered.handed_over_at,
            ended_at=at,
            outcome=AttemptResult.ACCEPTED,
            code=reply.code,
            enhanced=reply.enhanced,
            answer=redacted(reply.text),
        )
    return True


async def workers_with_claims() -> list[str]:
    claims = Delivery.filter(status=Status.CLAIMED).distinct()
    return sorted(str(name) for name in await claims.values_list("claimed_by__name", flat=True))


_BATCH = 500
_DECIDABLE = (Status.UNCERTAIN, Status.HELD)


@dataclass(slots=True)
class Reconciliation:
    """`settled`: deliveries that were uncertain or held, and are sent now.

    `received`: our Message-IDs in the log; `unknown`: those without a delivery;
    `left`: deliveries that are not sent and could not be settled, by state. A scheduled one
    would be sent again: hold it first.
    """

    received: int = 0
    unknown: int = 0
    settled: int = 0
    left: Counter[str] = field(default_factory=Counter)

    @property
    def found(self) -> bool:
        return self.received > self.unknown


async def reconcile(received: Iterable[str], now: datetime) -> Reconciliation:
    """Settle as sent the uncertain and held deliveries whose Message-IDs were received. Idempotent."""
    result = Reconciliation()
    remaining = iter(received)
    while batch := list(islice(remaining, _BATCH)):
        await _reconcile(batch, now, result)
    return result


async def _reconcile(batch: Sequence[str], now: datetime, result: Reconciliation) -> None:
    known = await Delivery.filter(message_id__in=batch)
    result.received += len(batch)
    result.unknown += len(batch) - len(known)
    for delivery in known:
        if delivery.status in _DECIDABLE and await _settle(delivery, now):
            result.settled += 1
        elif delivery.status is not Status.SENT:
            result.left[delivery.status] += 1


@retried
async def _settle(delivery: Delivery, now: datetime) -> bool:
    """False: another process has changed it since it was read."""
    async with transaction():
        unchanged = Delivery.filter(id=delivery.id, status=delivery.status)
        if not await unchanged.update(status=Status.SENT, status_at=now, sent_at=now, held_reason=None):
            return False
        await Attempt.create(
            delivery_id=delivery.id,
            claim_token=uuid4(),
            worker_name="audit",
            started_at=now,
            handed_over_at=now,
            ended_at=now,
            outcome=AttemptResult.ACCEPTED,
            answer="shown by the mail server's log",
        )
    return True
