"""Pausing all sending, for every process at once: while there is a row, nothing is claimed (statements.py)."""

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
    """Since when, and by whom, nothing is sent."""

    since: datetime
    who: str


async def paused() -> Paused | None:
    """Return who has paused all sending; None: nobody."""
    row = await Pause.get_or_none(name=_SENDING)
    return Paused(row.since, row.who) if row else None


@retried
async def pause(operator: Operator, now: datetime) -> bool:
    """Have nothing claimed any more, letters and notices alike; what is under way lands. False: it was so already."""
    try:
        async with transaction():
            await Pause.create(name=_SENDING, since=now, who=operator.name)
            await record(operator, Event.PAUSE, now)
    except IntegrityError:
        return False
    return True


@retried
async def resume(operator: Operator, now: datetime) -> bool:
    """Go on sending. False: it was not paused."""
    async with transaction():
        if not await Pause.filter(name=_SENDING).delete():
            return False
        await record(operator, Event.RESUME, now)
    return True
