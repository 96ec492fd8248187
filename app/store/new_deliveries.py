"""What a delivery is when it comes into the ledger."""

from datetime import datetime
from uuid import UUID

from app.domain.status import Occasion, Status
from app.sealing import new_token
from app.store.models import Delivery


def new_delivery(
    letter_id: UUID, occasion: Occasion, due_at: datetime, now: datetime, *, domain_mac: str, message_domain: str
) -> Delivery:
    """Return a delivery that has not been stored yet. Its Message-ID is its own for ever (E3)."""
    return Delivery(
        letter_id=letter_id,
        occasion=occasion,
        notice=occasion.is_notice,
        status=Status.SCHEDULED,
        status_at=now,
        promised_at=due_at,
        due_at=due_at,
        message_id=f"<{new_token()}@{message_domain}>",
        domain_mac=domain_mac,
    )
