"""The audit log of operators' actions, on both databases."""

from datetime import timedelta

import asyncpg
import pytest
from tortoise.exceptions import IntegrityError

from app.domain.status import Occasion, Status
from app.store.audit_log import Operator, audit_entries, delivery_events, record, record_delivery_events
from app.store.database import connection
from app.store.pauses import Paused, pause, paused, resume
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger, claim_due, new_worker

pytestmark = pytest.mark.anyio

WHO = Operator("jihye", "192.0.2.7")


@pytest.mark.usefixtures("cipher")
async def test_entries_are_read_newest_first_a_page_at_a_time() -> None:
    for number in range(5):
        await record(WHO, "hold", NOW + timedelta(minutes=number), subject="one", asked=number, changed=0)
    newest = await audit_entries(limit=3)
    assert [(each.who, each.client, each.action, each.asked) for each in newest] == [
        ("jihye", "192.0.2.7", "hold", number) for number in (4, 3, 2)
    ]
    assert [each.asked for each in await audit_entries(newest[-1].id, limit=3)] == [1, 0]


@pytest.mark.parametrize("table", ["operator_actions", "delivery_actions"])
async def test_entries_cannot_be_changed_or_deleted(ledger: Ledger, table: str) -> None:
    delivery = await ledger.add(Status.SCHEDULED, NOW)
    await record(WHO, "hold", NOW)
    await record_delivery_events(WHO, "hold", [delivery.id], NOW)
    before = await connection().execute_query_dict(f"SELECT * FROM {table}")
    statements = [f"UPDATE {table} SET who = 'other'", f"DELETE FROM {table}"]
    if connection().capabilities.dialect == "sqlite":
        statements.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    else:
        statements.append(f"TRUNCATE {table}")
    for statement in statements:
        with pytest.raises((IntegrityError, asyncpg.IntegrityConstraintViolationError), match="is append-only"):
            await connection().execute_query(statement)
    assert await connection().execute_query_dict(f"SELECT * FROM {table}") == before != []


async def test_actions_on_a_delivery_are_listed(ledger: Ledger) -> None:
    one, other = [await ledger.add(Status.SCHEDULED, NOW) for _ in range(2)]
    await record_delivery_events(WHO, "hold", [one.id, other.id], NOW)
    await record_delivery_events(WHO, "release", [one.id], NOW)
    assert [touch.action for touch in await delivery_events(one.id)] == ["hold", "release"]
    assert [touch.action for touch in await delivery_events(other.id)] == ["hold"]


async def test_nothing_is_claimed_while_sending_is_paused(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    await ledger.add(Status.SCHEDULED, NOW, occasion=Occasion.RECEIPT)
    worker = await new_worker()
    assert await paused() is None
    assert [await pause(WHO, NOW), await pause(Operator("another"), NOW)] == [True, False]
    assert await paused() == Paused(NOW, "jihye")
    assert await claim_due(worker) == await claim_due(worker, notices=True) == []
    assert [await resume(WHO, NOW), await resume(WHO, NOW)] == [True, False]
    assert len(await claim_due(worker)) == len(await claim_due(worker, notices=True)) == 1
    assert [entry.action for entry in await audit_entries()] == ["resume", "pause"]
