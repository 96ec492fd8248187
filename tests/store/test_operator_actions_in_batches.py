"""Operator actions on all matching deliveries, on both databases."""

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from app.domain.status import HeldReason, Occasion, Status
from app.store import operator_actions
from app.store.audit_log import Operator, audit_entries, delivery_events
from app.store.models import Delivery
from app.store.operator_actions import hold_due_since, release_held
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
WHO = Operator("root (command line)")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
async def test_deliveries_due_since_the_backup_are_held(ledger: Ledger, zone: str) -> None:
    """In any time zone of `since`."""
    before = await ledger.add(Status.SCHEDULED, NOW - HOUR - timedelta(microseconds=1))
    since = [await ledger.add(Status.SCHEDULED, at) for at in (NOW - HOUR, NOW)]
    receipt = await ledger.add(Status.SCHEDULED, NOW, occasion=Occasion.RECEIPT)
    later = await ledger.add(Status.SCHEDULED, NOW + timedelta(microseconds=1))
    sent = await ledger.add(Status.SENT, NOW)
    assert await hold_due_since((NOW - HOUR).astimezone(ZoneInfo(zone)), NOW, WHO) == 3
    rows = {row.id: row for row in await Delivery.all()}
    for delivery in (*since, receipt):
        row = rows[delivery.id]
        assert (row.status, row.held_reason, row.status_at) == (Status.HELD, HeldReason.OPERATOR, NOW)
        assert row.due_at == delivery.due_at
    assert {rows[each.id].status for each in (before, later)} == {Status.SCHEDULED}
    assert rows[sent.id].status is Status.SENT
    (entry,) = await audit_entries()
    assert (entry.who, entry.action, entry.changed) == (WHO.name, "hold", 3)
    assert entry.subject == "due since 2026-01-01 08:30 UTC"
    assert [(touch.who, touch.action) for touch in await delivery_events(receipt.id)] == [(WHO.name, "hold")]
    assert await delivery_events(later.id) == []


async def test_release_makes_overdue_deliveries_due_now_and_keeps_later_dates(ledger: Ledger) -> None:
    overdue = await ledger.add(Status.HELD, NOW - HOUR)
    ahead = await ledger.add(Status.HELD, NOW + HOUR)
    assert await release_held(HeldReason.FIRST_REFUSED, NOW, WHO) == 0
    assert await release_held(HeldReason.OPERATOR, NOW, WHO) == 2
    assert (await Delivery.get(id=overdue.id)).due_at == NOW
    assert (await Delivery.get(id=ahead.id)).due_at == NOW + HOUR
    assert not await Delivery.exclude(status=Status.SCHEDULED, held_reason=None).exists()


async def test_two_concurrent_releases_count_their_own_changes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_actions, "BATCH", 7)
    await ledger.multiply(await ledger.add(Status.HELD, NOW), 39)
    moved = await asyncio.gather(*(release_held(HeldReason.OPERATOR, NOW, WHO) for _ in range(3)))
    assert sum(moved) == 40
    assert await Delivery.filter(status=Status.SCHEDULED).count() == 40
