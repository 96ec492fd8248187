"""The edge that the policy decides on, and who claims; what operators decide is in `edges.py`."""

from datetime import datetime

from app.domain.status import Status
from app.store.database import as_parameter, connection
from app.store.models import Delivery
from app.store.statements import statements

RESEND_LIMIT = 5
"""How often an unanswered delivery is sent again before it waits for the operator."""


async def resend_uncertain(now: datetime) -> int:
    """Schedule again what was handed over without an answer, under its own Message-ID.

    What its writer has called back meanwhile is not sent again. Each of these may double a
    letter, so after RESEND_LIMIT the delivery stays uncertain until
    the operator decides. Returns how many.
    """
    moment = as_parameter(now)
    resent, _ = await connection().execute_query(statements().resend, [moment, moment, RESEND_LIMIT])
    return resent


async def claimers() -> list[str]:
    """Return the names of the workers that have deliveries claimed at this moment."""
    claims = Delivery.filter(status=Status.CLAIMED).distinct()
    return sorted(str(name) for name in await claims.values_list("claimed_by__name", flat=True))
