"""What the policy does with what was never answered, on both databases."""

from datetime import timedelta

import pytest

from app.domain.status import Occasion, Status
from app.store.models import Delivery
from app.store.uncertain import RESEND_LIMIT, resend_uncertain
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
    assert len(await resend_uncertain(NOW)) == 1
    row = await Delivery.get(id=delivery.id)
    assert (row.status, row.status_at, row.due_at) == (Status.SCHEDULED, NOW, NOW)
    assert (row.attempts, row.unanswered) == (9, 1)
    (claimed,) = await claim_due(await new_worker())
    assert claimed.message_id == delivery.message_id
    assert len(await resend_uncertain(NOW)) == 0


async def test_it_is_not_sent_again_before_its_time(ledger: Ledger) -> None:
    await _uncertain(ledger, due_in=HOUR)
    assert not await resend_uncertain(NOW + HOUR - timedelta(microseconds=1))
    assert len(await resend_uncertain(NOW + HOUR)) == 1


async def test_after_the_limit_it_waits_for_the_operator(ledger: Ledger) -> None:
    last = await _uncertain(ledger, unanswered=RESEND_LIMIT)
    beyond = await _uncertain(ledger, unanswered=RESEND_LIMIT + 1)
    assert len(await resend_uncertain(NOW)) == 1
    assert (await Delivery.get(id=last.id)).status is Status.SCHEDULED
    assert (await Delivery.get(id=beyond.id)).status is Status.UNCERTAIN


async def test_only_uncertain_ones_are_sent_again(ledger: Ledger) -> None:
    for status in set(Status) - {Status.UNCERTAIN}:
        await ledger.add(status, NOW - HOUR)
    before = await Delivery.all().order_by("id").values()
    assert len(await resend_uncertain(NOW)) == 0
    assert await Delivery.all().order_by("id").values() == before


async def test_what_its_writer_called_back_meanwhile_is_not_sent_again(ledger: Ledger) -> None:
    first = await _uncertain(ledger)
    second = await ledger.add(Status.CANCELLED, NOW, occasion=Occasion.SECOND)
    await Delivery.filter(id=second.id).update(letter_id=first.letter_id)
    assert len(await resend_uncertain(NOW)) == 0
