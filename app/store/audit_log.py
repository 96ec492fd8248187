"""The trail of what operators did: written with what it tells of, and never changed again.

Its tables refuse to be changed (migrations/0004). It holds no address and no text: what was done to
which deliveries is told by their ids, and a selection by its parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.status import Event
from app.store.operator_models import DeliveryAction, OperatorAction

PAGE = 50


@dataclass(frozen=True, slots=True)
class Operator:
    """Who does something, and from where: an account and its client's network, or the command line."""

    name: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was done. `asked` and `changed` are numbers of deliveries, where any were meant."""

    id: int
    at: datetime
    who: str
    client: str
    action: str
    subject: str
    asked: int | None
    changed: int | None


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """What was done to one delivery."""

    at: datetime
    who: str
    action: str


async def record(
    operator: Operator,
    action: str,
    now: datetime,
    *,
    subject: str = "",
    asked: int | None = None,
    changed: int | None = None,
) -> None:
    """Write down what an operator did; in the transaction that does it, where there is one."""
    await OperatorAction.create(
        at=now,
        who=operator.name,
        client=operator.client,
        action=action,
        subject=subject,
        asked=asked,
        changed=changed,
    )


async def record_delivery_events(operator: Operator, action: str, ids: Sequence[int], now: datetime) -> None:
    """Write down beside each of these deliveries what was done to it."""
    touches = [DeliveryAction(delivery_id=each, at=now, who=operator.name, action=action) for each in ids]
    await DeliveryAction.bulk_create(touches, batch_size=PAGE * 10)


async def audit_entries(before: int | None = None, limit: int = PAGE) -> list[AuditEntry]:
    """Return what was done, newest first, from the entry before this id on."""
    found = OperatorAction.filter(id__lt=before) if before else OperatorAction.all()
    rows = await found.order_by("-id").limit(limit).values()
    return [AuditEntry(**row) for row in rows]


async def delivery_events(delivery_id: int) -> list[DeliveryEvent]:
    """Return what operators did to a delivery, oldest first."""
    rows = await DeliveryAction.filter(delivery_id=delivery_id).order_by("id").values("at", "who", "action")
    return [DeliveryEvent(**row) for row in rows]


async def has_signed_in_from(username: str, client: str, since: datetime) -> bool:
    """Return whether this account has signed in from this network since then."""
    return await OperatorAction.filter(who=username, client=client, action=Event.SIGN_IN, at__gte=since).exists()
