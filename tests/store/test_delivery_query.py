"""Filters of deliveries, on both databases: each part alone, and all together."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.delivery_filter import DeliveryFilter
from app.domain.status import HeldReason, Occasion, Status
from app.store.cipher import LetterCipher
from app.store.database import connection
from app.store.delivery_list import list_deliveries
from app.store.delivery_query import Cursor, count, find
from app.store.models import Delivery, Letter
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MAC, OTHER = "a" * 32, "b" * 32


async def _found(selection: DeliveryFilter, *, descending: bool = False) -> list[int]:
    cursors = await find(selection, None, 100, descending=descending)
    assert await count(selection, 100) == len(cursors)
    return [each.id for each in cursors]


def _only(*states: Status, **parts: Any) -> DeliveryFilter:
    return DeliveryFilter(frozenset(states or Status), **parts)


async def test_all_deliveries_are_sorted_by_time(ledger: Ledger) -> None:
    """By `due_at` until they end, by `status_at` afterwards."""
    for hour, status in enumerate(Status):
        delivery = await ledger.add(status, NOW + hour * HOUR)
        ended = status in (Status.SENT, Status.FAILED, Status.CANCELLED)
        await Delivery.filter(id=delivery.id).update(**{"due_at" if ended else "status_at": NOW - 99 * HOUR})
    rising = [delivery.id for delivery in await Delivery.all().order_by("id")]
    assert await _found(DeliveryFilter()) == rising
    assert await _found(DeliveryFilter(), descending=True) == rising[::-1]
    assert await _found(_only(Status.SENT, Status.HELD)) == [rising[2], rising[4]]


async def test_a_span_includes_its_start_and_excludes_its_end(ledger: Ledger) -> None:
    ids = [(await ledger.add(status, NOW + hour * HOUR)).id for hour in range(4) for status in (Status.SENT,)]
    span = DeliveryFilter(since=NOW + HOUR, until=NOW + 3 * HOUR)
    for descending in (False, True):
        assert sorted(await _found(span, descending=descending)) == ids[1:3]
    middle = (await find(span, None, 1, descending=True))[0]
    assert middle == Cursor(NOW + 2 * HOUR, ids[2])
    assert [each.id for each in await find(span, middle, 9, descending=True)] == [ids[1]]


@pytest.mark.usefixtures("ledger")
async def test_branches_are_merged_in_index_order(caplog: pytest.LogCaptureFixture) -> None:
    """A sort would read a page's number of rows in every branch; claimed deliveries are few."""
    if connection().capabilities.dialect == "postgres":
        pytest.skip("PostgreSQL has a LIMIT in each branch")
    with caplog.at_level("DEBUG", "tortoise.db_client"):
        await find(_only(*(set(Status) - {Status.CLAIMED})), None, 50, descending=True)
    asked: Any = caplog.records[-1].args
    plan = await connection().execute_query_dict(f"EXPLAIN QUERY PLAN {asked[0]}", asked[1])
    assert len(plan) > len(Occasion)
    assert not [step["detail"] for step in plan if "TEMP B-TREE" in step["detail"]]


@pytest.mark.parametrize("status", list(Status))
async def test_occasions_are_filtered_in_every_state(ledger: Ledger, status: Status) -> None:
    ids = {occasion: (await ledger.add(status, NOW, occasion=occasion)).id for occasion in Occasion}
    for occasion, expected in ids.items():
        assert await _found(_only(status, occasions=frozenset({occasion}))) == [expected]


async def test_a_domain_is_that_of_the_deliverys_recipient(ledger: Ledger) -> None:
    for status in Status:
        for address_hmac in (MAC, OTHER):
            delivery = await ledger.add(status, NOW)
            await Delivery.filter(id=delivery.id).update(domain_hmac=address_hmac)
    found = await _found(DeliveryFilter(domain_hmac=MAC))
    assert len(found) == len(Status)
    assert await Delivery.filter(domain_hmac=MAC).count() == len(Status)
    assert len(await _found(_only(Status.HELD, Status.CLAIMED, domain_hmac=MAC))) == 2


async def test_an_address_is_the_readers_or_for_a_notice_the_writers(ledger: Ledger) -> None:
    first = await ledger.add(Status.SENT, NOW)
    receipt = await ledger.add(Status.SENT, NOW, occasion=Occasion.RECEIPT)
    asking = await ledger.add(Status.SCHEDULED, NOW, occasion=Occasion.CONFIRMATION)
    await Letter.filter(id__in=[first.letter_id, receipt.letter_id]).update(recipient_hmac=MAC, sender_hmac=OTHER)
    await Letter.filter(id=asking.letter_id).update(recipient_hmac=MAC, sender_hmac=None)
    assert await _found(DeliveryFilter(address_hmac=MAC)) == [first.id, asking.id]
    assert await _found(DeliveryFilter(address_hmac=OTHER)) == [receipt.id]
    assert await _found(_only(Status.HELD, address_hmac=MAC)) == []


async def test_a_message_id_finds_one_if_the_other_parts_match(ledger: Ledger) -> None:
    delivery = await ledger.add(Status.SENT, NOW)
    await ledger.add(Status.SENT, NOW)
    await Letter.filter(id=delivery.letter_id).update(recipient_hmac=MAC)
    await Delivery.filter(id=delivery.id).update(domain_hmac=MAC)
    one = {"message_id": delivery.message_id}
    for parts in ({}, {"address_hmac": MAC}, {"domain_hmac": MAC}, {"since": NOW}):
        assert await _found(_only(**one, **parts)) == [delivery.id]
    for parts in ({"address_hmac": OTHER}, {"domain_hmac": OTHER}, {"since": NOW + HOUR}):
        assert await _found(_only(**one, **parts)) == []
    assert await _found(_only(Status.HELD, **one)) == []


async def test_held_deliveries_are_filtered_by_reason(ledger: Ledger) -> None:
    held = {reason: (await ledger.add(Status.HELD, NOW)).id for reason in (HeldReason.OVERDUE, HeldReason.BLOCKED)}
    for reason, key in held.items():
        await Delivery.filter(id=key).update(held_reason=reason)
    failed = (await ledger.add(Status.FAILED, NOW)).id
    overdue = frozenset({HeldReason.OVERDUE})
    assert await _found(_only(Status.HELD, reasons=overdue)) == [held[HeldReason.OVERDUE]]
    assert await _found(_only(Status.FAILED, Status.HELD, reasons=overdue)) == [held[HeldReason.OVERDUE], failed]
    await Letter.all().update(recipient_hmac=MAC)
    assert await _found(_only(Status.HELD, reasons=overdue, address_hmac=MAC)) == [held[HeldReason.OVERDUE]]


async def test_a_count_stops_beyond_its_limit(ledger: Ledger) -> None:
    await ledger.multiply(await ledger.add(Status.SENT, NOW), 11)
    assert await count(DeliveryFilter(), 12) == 12
    assert await count(DeliveryFilter(), 10) == 11


async def test_the_deliveries_of_an_address_are_paged(cipher: LetterCipher, ledger: Ledger) -> None:
    for hour in range(5):
        await ledger.add(Status.SENT if hour % 2 else Status.SCHEDULED, NOW + hour * HOUR)
    await Letter.all().update(recipient_hmac=MAC)
    selection = DeliveryFilter(address_hmac=MAC)
    first = await list_deliveries(cipher, selection, descending=True, limit=3)
    second = await list_deliveries(cipher, selection, descending=True, limit=3, cursor=first.next)
    assert [(row.moment - NOW) // HOUR for row in first.rows + second.rows] == [4, 3, 2, 1, 0]
    assert await list_deliveries(cipher, selection, descending=True, limit=3, cursor=second.previous) == first
