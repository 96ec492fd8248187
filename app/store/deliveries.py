"""The edges of what is uncertain that no person decides, and who claims; operators' are in `edges.py`."""

from datetime import datetime
from uuid import UUID, uuid4

from tortoise.expressions import Subquery

from app.domain.address import redacted
from app.domain.retry import Reply
from app.domain.status import Outcome, Status
from app.store.database import as_parameter, connection, transaction
from app.store.models import Attempt, Delivery
from app.store.operations import retried
from app.store.statements import statements

RESEND_LIMIT = 5
"""How often an unanswered delivery is sent again before it waits for the operator."""


async def resend_uncertain(now: datetime) -> list[int]:
    """Schedule again what was handed over without an answer, under its own Message-ID.

    What its writer has called back meanwhile is not sent again. Each of these may double a
    letter, so after RESEND_LIMIT the delivery stays uncertain until
    the operator decides. Returns which.
    """
    moment = as_parameter(now)
    resent = await connection().execute_query_dict(statements().resend, [moment, moment, RESEND_LIMIT])
    return [row["id"] for row in resent]


@retried
async def accepted_after_all(delivery: int, token: UUID, at: datetime, reply: Reply) -> bool:
    """Settle as sent what is uncertain about one claim, once its answer was found. False: it is not, or no more."""
    tries = Attempt.filter(delivery_id=delivery, claim_token=token, outcome=Outcome.UNANSWERED)
    async with transaction():
        doubtful = Delivery.filter(id__in=Subquery(tries.values("delivery_id")), status=Status.UNCERTAIN)
        if not await doubtful.update(status=Status.SENT, status_at=at, sent_at=at):
            return False
        lost = await tries.get()
        await Attempt.create(
            delivery_id=delivery,
            claim_token=uuid4(),
            worker_name=lost.worker_name,
            started_at=lost.started_at,
            handed_over_at=lost.handed_over_at,
            ended_at=at,
            outcome=Outcome.ACCEPTED,
            code=reply.code,
            enhanced=reply.enhanced,
            answer=redacted(reply.text),
        )
    return True


async def claimers() -> list[str]:
    """Return the names of the workers that have deliveries claimed at this moment."""
    claims = Delivery.filter(status=Status.CLAIMED).distinct()
    return sorted(str(name) for name in await claims.values_list("claimed_by__name", flat=True))
