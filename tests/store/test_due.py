"""What a scan would find, asked in one question, on both databases."""

from datetime import timedelta

import pytest

from app.domain.status import Occasion, Status
from app.store.cipher import LetterCipher
from app.store.claims import DueWork, find_due_work
from app.store.confirmation import LINK_LIFETIME
from app.store.database import connection
from app.store.models import Delivery
from app.store.uncertain import RESEND_LIMIT
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def ledger(cipher: LetterCipher) -> Ledger:
    return Ledger(cipher)


async def test_nothing_is_due_before_its_time(ledger: Ledger) -> None:
    for status in Status:
        await ledger.add(status, NOW + MOMENT)
        if status not in (Status.SCHEDULED, Status.UNCERTAIN):
            await ledger.add(status, NOW)
    assert await find_due_work(NOW) == DueWork(uncertain=False, unconfirmed=False, scheduled=False)


@pytest.mark.parametrize("occasion", [Occasion.FIRST, Occasion.RECEIPT])
async def test_letters_and_notices_are_due_at_their_time(ledger: Ledger, occasion: Occasion) -> None:
    await ledger.add(Status.SCHEDULED, NOW, occasion=occasion)
    assert await find_due_work(NOW) == DueWork(uncertain=False, unconfirmed=False, scheduled=True)


async def test_what_was_never_answered_too_often_is_not_looked_at(ledger: Ledger) -> None:
    doubtful = await ledger.add(Status.UNCERTAIN, NOW)
    assert (await find_due_work(NOW)).uncertain
    await Delivery.filter(id=doubtful.id).update(unanswered=RESEND_LIMIT + 1, attempts=RESEND_LIMIT + 1)
    assert not (await find_due_work(NOW)).uncertain


async def test_what_nobody_confirmed_may_be_called_off(ledger: Ledger) -> None:
    await ledger.add(Status.HELD, NOW)
    await connection().execute_query("UPDATE deliveries SET held_reason = 'unconfirmed', awaited_hmac = 'r'")
    assert not (await find_due_work(NOW + LINK_LIFETIME - MOMENT)).unconfirmed
    assert (await find_due_work(NOW + LINK_LIFETIME)).unconfirmed
