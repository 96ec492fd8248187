"""What an operator asks to be done to many deliveries: a batch to a transaction, each with how far it has come.

A request is known by an id that came with the form, so a second click finds it begun. Whoever takes
a step locks it first: several processes may go on with one at once, and after a crash anybody may.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl
from uuid import UUID
from zoneinfo import ZoneInfo

from tortoise.functions import Max

from app.domain.delivery_filter import DeliveryFilter, read_filter
from app.domain.status import Action
from app.store.audit_log import Operator, record
from app.store.database import transaction
from app.store.delivery_query import count, find, read_cursor
from app.store.execution import retried
from app.store.models import Delivery
from app.store.operator_actions import BATCH, move
from app.store.operator_models import BulkAction

COUNT_LIMIT = 50_000
"""What is asked about is counted up to here; above, it is one more than this."""


@dataclass(frozen=True, slots=True)
class BulkTarget:
    """The deliveries an action is for: all of a selection, or those that were chosen by their ids."""

    selection: DeliveryFilter | None = None
    chosen: tuple[int, ...] = ()

    @property
    def in_words(self) -> str:
        """What the trail says: ids, or the parts of a selection, with whom it is for only as a fingerprint."""
        return str(self.selection)[:255] if self.selection is not None else ", ".join(map(str, self.chosen))[:255]


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """How far a request has come: of `asked` that were target when it was made, `seen` were looked at."""

    action: Action
    asked: int
    seen: int
    changed: int
    ended: bool
    target: BulkTarget


async def count_matching(action: Action, target: BulkTarget) -> int:
    """Return how many deliveries an action would move just now; above COUNT_LIMIT: one more than that."""
    if target.selection is not None:
        narrowed = _narrowed(target.selection, action)
        return await count(narrowed, COUNT_LIMIT) if narrowed.states else 0
    return await Delivery.filter(id__in=target.chosen, status__in=action.begins_at).count()


async def begin(
    bulk_id: UUID, action: Action, target: BulkTarget, asked: int, operator: Operator, now: datetime
) -> bool:
    """Put a request on record, for deliveries that exist by now. False: it is there already."""
    newest = await Delivery.all().annotate(newest=Max("id")).values_list("newest", flat=True)
    bulk = BulkAction(
        id=bulk_id,
        action=action,
        who=operator.name,
        client=operator.client,
        selection=str(target.selection) if target.selection is not None else "",
        chosen=json.dumps(target.chosen),
        asked=asked,
        newest_id=newest[0] or 0,
        begun_at=now,
    )
    await BulkAction.bulk_create([bulk], ignore_conflicts=True)
    stored = await BulkAction.get(id=bulk_id)
    return (stored.begun_at, stored.seen) == (now, 0)


@retried
async def step(bulk_id: UUID, now: datetime, limit: int = BATCH) -> bool:
    """Go on with a request by one batch. False: it has ended."""
    async with transaction():
        if not await BulkAction.filter(id=bulk_id, ended_at=None).update(ended_at=None):  # locks it
            return False
        bulk = await BulkAction.get(id=bulk_id)
        action, operator = Action(bulk.action), Operator(bulk.who, bulk.client)
        ids, place = await _next(bulk, action, limit)
        moved = await move(action, [each for each in ids if each <= bulk.newest_id], now, operator)
        bulk.place = place
        bulk.seen += len(ids)
        bulk.changed += len(moved)
        if len(ids) < limit:
            bulk.ended_at = now
            subject = _matched(bulk).in_words
            await record(operator, action, now, subject=subject, asked=bulk.asked, changed=bulk.changed)
        await bulk.save()
    return bulk.ended_at is None


async def progress(bulk_id: UUID) -> BulkProgress | None:
    """Return how far a request has come; None: there is none."""
    bulk = await BulkAction.get_or_none(id=bulk_id)
    if bulk is None:
        return None
    ended = bulk.ended_at is not None
    return BulkProgress(Action(bulk.action), bulk.asked, bulk.seen, bulk.changed, ended, _matched(bulk))


async def unfinished() -> list[UUID]:
    """Return the requests that somebody has to go on with, oldest first."""
    return [bulk.id for bulk in await BulkAction.filter(ended_at=None).order_by("begun_at").only("id", "begun_at")]


async def drop_ended(now: datetime, keep: timedelta) -> int:
    """Drop the requests that ended `keep` ago or longer, and return how many; the trail tells of them for good."""
    return await BulkAction.filter(ended_at__lte=now - keep).delete()


async def _next(bulk: BulkAction, action: Action, limit: int) -> tuple[Sequence[int], str]:
    """Return the next ids and the place behind them. Those that moved are no longer in the way of the walk."""
    target = _matched(bulk)
    if target.selection is None:
        done = int(bulk.place or 0)
        return target.chosen[done : done + limit], str(done + limit)
    narrowed = _narrowed(target.selection, action)
    if not narrowed.states:
        return (), bulk.place
    places = await find(narrowed, read_cursor(bulk.place), limit, descending=False)
    return [place.id for place in places], str(places[-1]) if places else bulk.place


def _matched(bulk: BulkAction) -> BulkTarget:
    chosen = tuple(json.loads(bulk.chosen))
    if chosen:
        return BulkTarget(chosen=chosen)
    return BulkTarget(selection=read_filter(parse_qsl(bulk.selection), ZoneInfo("UTC")))


def _narrowed(selection: DeliveryFilter, action: Action) -> DeliveryFilter:
    return replace(selection, states=selection.states & action.begins_at)
