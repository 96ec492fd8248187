"""Bulk actions, on both databases."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from app.domain.delivery_filter import DeliveryFilter
from app.domain.status import Action, Status
from app.store.audit_log import Operator, audit_entries, delivery_events
from app.store.bulk_actions import BulkTarget, begin, count_matching, progress, step, unfinished
from app.store.models import Delivery
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

WHO = Operator("jihye", "192.0.2.7")
HELD = BulkTarget(DeliveryFilter(frozenset({Status.HELD, Status.SENT})))
HOUR = timedelta(hours=1)


async def _held(ledger: Ledger, number: int) -> None:
    await ledger.multiply(await ledger.add(Status.HELD, NOW), number - 1)


async def test_all_matching_deliveries_change_in_batches(ledger: Ledger) -> None:
    await _held(ledger, 25)
    await ledger.add(Status.SENT, NOW)
    bulk = uuid4()
    assert await count_matching(Action.RELEASE, HELD) == 25
    assert await begin(bulk, Action.RELEASE, HELD, 25, WHO, NOW)
    assert await unfinished() == [bulk]
    assert [await step(bulk, NOW, 10) for _ in range(4)] == [True, True, False, False]
    found = await progress(bulk)
    assert found
    assert (found.asked, found.seen, found.changed, found.ended) == (25, 25, 25, True)
    assert await unfinished() == []
    assert await Delivery.filter(status=Status.SCHEDULED).count() == 25
    (entry,) = await audit_entries()
    assert (entry.action, entry.who, entry.asked, entry.changed) == ("release", "jihye", 25, 25)
    assert entry.subject == "state=sent&state=held"


async def test_a_delivery_sent_now_is_processed_once(ledger: Ledger) -> None:
    await ledger.multiply(await ledger.add(Status.SCHEDULED, NOW + HOUR), 20)
    due = await ledger.add(Status.SCHEDULED, NOW - HOUR)
    bulk, everything = uuid4(), BulkTarget(DeliveryFilter())
    await begin(bulk, Action.SEND_NOW, everything, 22, WHO, NOW)
    while await step(bulk, NOW, 5):
        pass
    found = await progress(bulk)
    assert found
    assert (found.seen, found.changed) == (22, 21)
    assert await delivery_events(due.id) == []


async def test_a_second_click_does_not_start_it_again(ledger: Ledger) -> None:
    await _held(ledger, 2)
    bulk = uuid4()
    assert await begin(bulk, Action.CANCEL, HELD, 2, WHO, NOW)
    await step(bulk, NOW)
    assert not await begin(bulk, Action.RELEASE, HELD, 2, WHO, NOW + HOUR)
    assert not await step(bulk, NOW)
    assert await Delivery.filter(status=Status.CANCELLED).count() == 2
    assert len(await audit_entries()) == 1


async def test_chosen_deliveries_that_moved_on_are_not_counted_as_changed(ledger: Ledger) -> None:
    one, gone = await ledger.add(Status.HELD, NOW), await ledger.add(Status.HELD, NOW)
    target, bulk = BulkTarget(chosen=(one.id, gone.id)), uuid4()
    assert await count_matching(Action.RELEASE, target) == 2
    await Delivery.filter(id=gone.id).update(status=Status.CANCELLED, held_reason=None)
    await begin(bulk, Action.RELEASE, target, 2, WHO, NOW)
    assert not await step(bulk, NOW)
    found = await progress(bulk)
    assert found
    assert (found.asked, found.changed, found.target) == (2, 1, target)
    assert [touch.action for touch in await delivery_events(one.id)] == ["release"]


async def test_letters_posted_later_are_not_included(ledger: Ledger) -> None:
    await _held(ledger, 5)
    bulk = uuid4()
    await begin(bulk, Action.CANCEL, HELD, 5, WHO, NOW)
    await step(bulk, NOW, 3)
    later = await ledger.add(Status.HELD, NOW + HOUR)
    while await step(bulk, NOW, 3):
        pass
    assert (await Delivery.get(id=later.id)).status is Status.HELD
    assert await Delivery.filter(status=Status.CANCELLED).count() == 5


async def test_concurrent_steps_process_each_delivery_once(ledger: Ledger) -> None:
    await _held(ledger, 40)
    bulk = uuid4()
    await begin(bulk, Action.RELEASE, HELD, 40, WHO, NOW)

    async def go_on() -> None:
        while await step(bulk, NOW, 7):
            pass

    await asyncio.gather(go_on(), go_on(), go_on())
    found = await progress(bulk)
    assert found
    assert (found.seen, found.changed, found.ended) == (40, 40, True)
    assert len(await audit_entries()) == 1


async def test_an_action_that_does_not_apply_matches_nothing(ledger: Ledger) -> None:
    await ledger.add(Status.SENT, NOW)
    target, bulk = BulkTarget(DeliveryFilter(frozenset({Status.SENT}))), uuid4()
    assert await count_matching(Action.HOLD, target) == 0
    await begin(bulk, Action.HOLD, target, 0, WHO, NOW)
    assert not await step(bulk, NOW)
    assert await progress(uuid4()) is None
