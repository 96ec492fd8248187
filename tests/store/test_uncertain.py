"""Settling the ledger by what a mail server received, on both databases."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.crypto import Cipher, new_token
from app.domain.status import AttemptResult, Status
from app.store.audit import audit
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.models import Attempt, Delivery
from app.store.uncertain import reconcile
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio
LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    async with connected(database_url):
        yield Ledger(await open_cipher(Cipher(["k" * 32])))


async def _add(ledger: Ledger, status: Status) -> Delivery:
    delivery = await ledger.add(status, NOW)
    delivery.message_id = f"<{new_token()}@example.org>"
    await delivery.save()
    return delivery


@pytest.mark.parametrize("status", [Status.UNCERTAIN, Status.HELD])
async def test_received_deliveries_are_settled_as_sent(ledger: Ledger, status: Status) -> None:
    there, elsewhere = await _add(ledger, status), await _add(ledger, status)
    result = await reconcile([there.message_id], LATER)
    assert (result.received, result.settled, result.unknown, result.left) == (1, 1, 0, {})
    await elsewhere.refresh_from_db()
    assert await Delivery.filter(id=there.id, status=Status.SENT, sent_at=LATER, held_reason=None).exists()
    assert elsewhere.status is status
    assert (await Attempt.get(delivery_id=there.id)).outcome is AttemptResult.ACCEPTED
    assert (await audit()).impossible["sent deliveries of kept letters without an accepted attempt"] == 0


async def test_twice_is_the_same_as_once(ledger: Ledger) -> None:
    delivery = await _add(ledger, Status.UNCERTAIN)
    await reconcile([delivery.message_id], NOW)
    again = await reconcile([delivery.message_id], LATER)
    assert (again.received, again.settled) == (1, 0)
    assert await Attempt.filter(delivery_id=delivery.id).count() == 1


async def test_deliveries_that_cannot_be_settled_are_reported(ledger: Ledger) -> None:
    scheduled = await _add(ledger, Status.SCHEDULED)
    result = await reconcile([scheduled.message_id, "<nobody@example.org>"], LATER)
    assert (result.settled, result.unknown, result.left) == (0, 1, {Status.SCHEDULED: 1})
    await scheduled.refresh_from_db()
    assert scheduled.status is Status.SCHEDULED


async def test_more_than_one_batch(ledger: Ledger) -> None:
    delivery = await _add(ledger, Status.UNCERTAIN)
    strangers = [f"<{new_token()}@example.org>" for _ in range(1200)]
    result = await reconcile([*strangers, delivery.message_id], LATER)
    assert (result.received, result.unknown, result.settled) == (1201, 1200, 1)
