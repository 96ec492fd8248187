"""Operators' actions on many deliveries, one transaction a batch, each with its progress.

An action's id comes with the form, so that a second click does not start it again. Each step locks
the action first: several processes may run its steps, and any may resume it after a crash.
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
"""A larger count is reported as one more than this."""


@dataclass(frozen=True, slots=True)
class BulkTarget:
    """All deliveries of a selection, or those chosen by id."""

    selection: DeliveryFilter | None = None
    chosen: tuple[int, ...] = ()

    @property
    def subject(self) -> str:
        """Ids, or the parts of a selection with hashed addresses, for the audit log."""
        return str(self.selection)[:255] if self.selection is not None else ", ".join(map(str, self.chosen))[:255]


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """`asked`: deliveries matched at the start; `seen`: processed so far."""

    action: Action
    asked: int
    seen: int
    changed: int
    ended: bool
    target: BulkTarget


async def count_matching(action: Action, target: BulkTarget) -> int:
    if target.selection is not None:
        narrowed = _narrowed(target.selection, action)
        return await count(narrowed, COUNT_LIMIT) if narrowed.states else 0
    return await Delivery.filter(id__in=target.chosen, status__in=action.begins_at).count()


async def begin(
    bulk_id: UUID, action: Action, target: BulkTarget, asked: int, operator: Operator, now: datetime
) -> bool:
    """Store a bulk action on the deliveries that exist now; False if its id is stored already."""
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
    """Process one batch; False when the action has ended."""
    async with transaction():
        if not await BulkAction.filter(id=bulk_id, ended_at=None).update(ended_at=None):  # lock
            return False
        bulk = await BulkAction.get(id=bulk_id)
        action, operator = Action(bulk.action), Operator(bulk.who, bulk.client)
        ids, cursor = await _next(bulk, action, limit)
        moved = await move(action, [each for each in ids if each <= bulk.newest_id], now, operator)
        bulk.cursor = cursor
        bulk.seen += len(ids)
        bulk.changed += len(moved)
        if len(ids) < limit:
            bulk.ended_at = now
            subject = _target(bulk).subject
            await record(operator, action, now, subject=subject, asked=bulk.asked, changed=bulk.changed)
        await bulk.save()
    return bulk.ended_at is None


async def progress(bulk_id: UUID) -> BulkProgress | None:
    bulk = await BulkAction.get_or_none(id=bulk_id)
    if bulk is None:
        return None
    ended = bulk.ended_at is not None
    return BulkProgress(Action(bulk.action), bulk.asked, bulk.seen, bulk.changed, ended, _target(bulk))


async def unfinished() -> list[UUID]:
    return [bulk.id for bulk in await BulkAction.filter(ended_at=None).order_by("begun_at").only("id", "begun_at")]


async def drop_ended(now: datetime, keep: timedelta) -> int:
    return await BulkAction.filter(ended_at__lte=now - keep).delete()


async def _next(bulk: BulkAction, action: Action, limit: int) -> tuple[Sequence[int], str]:
    target = _target(bulk)
    if target.selection is None:
        done = int(bulk.cursor or 0)
        return target.chosen[done : done + limit], str(done + limit)
    narrowed = _narrowed(target.selection, action)
    if not narrowed.states:
        return (), bulk.cursor
    cursors = await find(narrowed, read_cursor(bulk.cursor), limit, descending=False)
    return [each.id for each in cursors], str(cursors[-1]) if cursors else bulk.cursor


def _target(bulk: BulkAction) -> BulkTarget:
    chosen = tuple(json.loads(bulk.chosen))
    if chosen:
        return BulkTarget(chosen=chosen)
    return BulkTarget(selection=read_filter(parse_qsl(bulk.selection), ZoneInfo("UTC")))


def _narrowed(selection: DeliveryFilter, action: Action) -> DeliveryFilter:
    return replace(selection, states=selection.states & action.begins_at)
