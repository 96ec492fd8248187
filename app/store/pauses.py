"""Pausing all sending, for every process at once: while there is a row, nothing is claimed (sql.py)."""

from dataclasses import dataclass
from datetime import datetime

from tortoise.exceptions import IntegrityError

from app.domain.status import Event
from app.store.audit_log import Operator, record
from app.store.database import transaction
from app.store.execution import retried
from app.store.operator_models import Pause

_SENDING = "sending"


@dataclass(frozen=True, slots=True)
class Paused:
    since: datetime
    who: str


async def paused() -> Paused | None:
    row = await Pause.get_or_none(name=_SENDING)
    return Paused(row.since, row.who) if row else None


@retried
async def pause(operator: Operator, now: datetime) -> bool:
    """Stop claiming letters and notices; claimed ones are still sent. False: sending was paused already."""
    try:
        async with transaction():
            await Pause.create(name=_SENDING, since=now, who=operator.name)
            await record(operator, Event.PAUSE, now)
    except IntegrityError:
        return False
    return True


@retried
async def resume(operator: Operator, now: datetime) -> bool:
    async with transaction():
        if not await Pause.filter(name=_SENDING).delete():
            return False
        await record(operator, Event.RESUME, now)
    return True
