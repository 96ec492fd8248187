"""The log of operators' actions, append-only (triggers refuse changes).

It holds no address and no text: deliveries by id, filters with hashed addresses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.status import Event
from app.store.operator_models import DeliveryAction, OperatorAction

PAGE = 50


@dataclass(frozen=True, slots=True)
class Operator:
    """An account and its client's network, or the command line."""

    name: str
    client: str = ""


async def record(
    operator: Operator,
    action: str,
    now: datetime,
    *,
    subject: str = "",
    asked: int | None = None,
    changed: int | None = None,
) -> None:
    """To be called in the transaction of the action. `asked` and `changed` are numbers of deliveries."""
    await OperatorAction.create(
        at=now, who=operator.name, client=operator.client, action=action, subject=subject, asked=asked, changed=changed
    )


async def record_delivery_events(operator: Operator, action: str, ids: Sequence[int], now: datetime) -> None:
    events = [DeliveryAction(delivery_id=each, at=now, who=operator.name, action=action) for each in ids]
    await DeliveryAction.bulk_create(events, batch_size=PAGE * 10)


async def audit_entries(before: int | None = None, limit: int = PAGE) -> list[OperatorAction]:
    entries = OperatorAction.filter(id__lt=before) if before else OperatorAction.all()
    return await entries.order_by("-id").limit(limit)


async def delivery_events(delivery_id: int) -> list[DeliveryAction]:
    return await DeliveryAction.filter(delivery_id=delivery_id).order_by("id")


async def has_signed_in_from(username: str, client: str, since: datetime) -> bool:
    return await OperatorAction.filter(who=username, client=client, action=Event.SIGN_IN, at__gte=since).exists()
