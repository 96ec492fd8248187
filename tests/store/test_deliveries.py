"""The edges that no claim is needed for, on both databases."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from app.domain.status import HeldReason, Occasion, Status
from app.store.deliveries import RESEND_LIMIT, hold_due_since, release, resend_uncertain
from app.store.models import Delivery, UndeliverableAddress
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger, claim_due, new_worker

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def _uncertain(ledger: Ledger, *, unanswered: int = 1, due_in: timedelta = timedelta()) -> Delivery:
    delivery = await ledger.add(Status.UNCERTAIN, NOW - HOUR)
    await Delivery.filter(id=delivery.id).update(attempts=9, unanswered=unanswered, due_at=NOW + due_in)
    return delivery


async def test_what_was_never_answered_is_sent_again_under_its_own_message_id(ledger: Ledger) -> None:
    delivery = await _uncertain(ledger)
    assert await resend_uncertain(NOW) == 1
    row = await Delivery.get(id=delivery.id)
    assert (row.status, row.status_at, row.due_at) == (Status.SCHEDULED, NOW, NOW)
    assert (row.attempts, row.unanswered) == (9, 1)
    (claimed,) = await claim_due(await new_worker())
    assert (claimed.message_id, claimed.unanswered) == (delivery.message_id, 1)
    assert await resend_uncertain(NOW) == 0


async def test_it_is_not_sent_again_before_its_time(ledger: Ledger) -> None:
    await _uncertain(ledger, due_in=HOUR)
    assert await resend_uncertain(NOW + HOUR - timedelta(microseconds=1)) == 0
    assert await resend_uncertain(NOW + HOUR) == 1


async def test_after_the_limit_it_waits_for_the_operator(ledger: Ledger) -> None:
    last = await _uncertain(ledger, unanswered=RESEND_LIMIT)
    beyond = await _uncertain(ledger, unanswered=RESEND_LIMIT + 1)
    assert await resend_uncertain(NOW) == 1
    assert (await Delivery.get(id=last.id)).status is Status.SCHEDULED
    assert (await Delivery.get(id=beyond.id)).status is Status.UNCERTAIN


async def test_only_uncertain_ones_are_sent_again(ledger: Ledger) -> None:
    for status in set(Status) - {Status.UNCERTAIN}:
        await ledger.add(status, NOW - HOUR)
    before = await Delivery.all().order_by("id").values()
    assert await resend_uncertain(NOW) == 0
    assert await Delivery.all().order_by("id").values() == before


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
async def test_what_may_have_gone_out_since_the_backup_is_held(ledger: Ledger, zone: str) -> None:
    """Whatever the zone in which the operator said since when."""
    before = await ledger.add(Status.SCHEDULED, NOW - HOUR - timedelta(microseconds=1))
    since = [await ledger.add(Status.SCHEDULED, at) for at in (NOW - HOUR, NOW)]
    receipt = await ledger.add(Status.SCHEDULED, NOW, occasion=Occasion.RECEIPT)
    later = await ledger.add(Status.SCHEDULED, NOW + timedelta(microseconds=1))
    sent = await ledger.add(Status.SENT, NOW)
    assert await hold_due_since((NOW - HOUR).astimezone(ZoneInfo(zone)), NOW) == 3
    rows = {row.id: row for row in await Delivery.all()}
    for delivery in (*since, receipt):
        row = rows[delivery.id]
        assert (row.status, row.held_reason, row.status_at) == (Status.HELD, HeldReason.OPERATOR, NOW)
        assert row.due_at == delivery.due_at
    assert {rows[each.id].status for each in (before, later)} == {Status.SCHEDULED}
    assert rows[sent.id].status is Status.SENT


async def test_what_its_writer_called_back_meanwhile_is_not_sent_again(ledger: Ledger) -> None:
    first = await _uncertain(ledger)
    second = await ledger.add(Status.CANCELLED, NOW, occasion=Occasion.SECOND)
    await Delivery.filter(id=second.id).update(letter_id=first.letter_id)
    assert await resend_uncertain(NOW) == 0


async def test_releasing_brings_what_is_overdue_now_and_leaves_what_is_still_to_come(ledger: Ledger) -> None:
    overdue = await ledger.add(Status.HELD, NOW - HOUR)
    ahead = await ledger.add(Status.HELD, NOW + HOUR)
    assert await release(HeldReason.FIRST_REFUSED, NOW) == 0
    assert await release(HeldReason.OPERATOR, NOW) == 2
    assert (await Delivery.get(id=overdue.id)).due_at == NOW
    assert (await Delivery.get(id=ahead.id)).due_at == NOW + HOUR
    assert not await Delivery.exclude(status=Status.SCHEDULED, held_reason=None).exists()


async def test_releasing_what_was_taken_for_dead_lets_it_be_written_to_again(ledger: Ledger) -> None:
    held = await ledger.add(Status.HELD, NOW)
    await Delivery.filter(id=held.id).update(held_reason=HeldReason.UNDELIVERABLE)
    letter = await held.letter
    await UndeliverableAddress.create(mac=letter.recipient_mac, since=NOW)
    await UndeliverableAddress.create(mac="another", since=NOW)
    assert await release(HeldReason.UNDELIVERABLE, NOW) == 1
    assert [address.mac for address in await UndeliverableAddress.all()] == ["another"]
