"""The audit's sums, and each inconsistency that it finds, on both databases."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.domain.letter import Draft
from app.domain.retry import Reply
from app.domain.status import HeldReason, Status
from app.store.audit import Audit, audit
from app.store.cipher import LETTER_COLUMNS
from app.store.claims import Claimed, hand_over
from app.store.database import connection
from app.store.letters import Letters
from app.store.models import Attempt, Letter
from app.store.settlements import (
    AttemptRecord,
    Outcome,
    given_back,
    held_back,
    permanent_failure,
    sent,
    settle,
    transient_failure,
    unanswered,
)
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, claim_due, new_worker

pytestmark = pytest.mark.anyio

LETTER = Draft(recipient_email=READER, sender_email=WRITER, body="Dear you")
LATER = NOW + timedelta(hours=1)
WAYS: list[Callable[[Claimed], Outcome]] = [
    lambda one: sent(one, AttemptRecord(NOW, NOW, NOW, Reply(250, "2.0.0", "ok", "body"))),
    lambda one: transient_failure(one, AttemptRecord(NOW, None, NOW, Reply(450, "4.7.1", "later", "rcpt")), LATER),
    lambda one: permanent_failure(one, AttemptRecord(NOW, None, NOW, Reply(550, "5.1.1", "nobody", "rcpt"))),
    lambda one: unanswered(one, AttemptRecord(NOW, NOW, NOW, None, "silence"), LATER),
    lambda one: given_back(one, NOW, LATER),
    lambda one: held_back(one, NOW, HeldReason.OVERDUE),
]


@pytest.fixture(autouse=True)
async def _full(prompt_letters: Letters) -> None:
    """Six letters with first deliveries in each final state; one withdrawn, one claimed."""
    for _ in WAYS:
        await prompt_letters.post(LETTER, NOW - timedelta(seconds=1))  # the second is not due yet
    firsts = await claim_due(await new_worker())
    await hand_over(firsts, NOW)
    await settle([way(one) for way, one in zip(WAYS, firsts, strict=True)], "worker")
    await prompt_letters.withdraw((await prompt_letters.post(LETTER, NOW)).token, NOW)
    await claim_due(await new_worker(), notices=True, limit=1)


async def _found(*, broken: str = "") -> Audit:
    if broken:
        await connection().execute_query(broken)
    return await audit()


async def test_a_full_ledger_adds_up() -> None:
    sums = await audit()
    assert sums.adds_up, sums.impossible
    assert sums.by_status == {
        "sent": 1,
        "scheduled": 2 + 5 + 5,  # retried firsts, seconds that are not held, receipts
        "failed": 1,
        "uncertain": 1,
        "held": 1 + 1,
        "claimed": 1,
        "cancelled": 3,  # a withdrawn letter, and its receipt
    }
    assert (sums.letters, sums.deliveries, sums.ever_unanswered) == (7, 21, 1)


async def test_an_empty_ledger_adds_up() -> None:
    await Attempt.all().delete()
    for table in ("deliveries", "letters"):
        await connection().execute_query(f"DELETE FROM {table}")
    sums = await audit()
    assert sums.adds_up
    assert sums.by_status == {status.value: 0 for status in Status}
    assert (sums.letters, sums.deliveries, sums.ever_unanswered) == (0, 0, 0)


@pytest.mark.parametrize(
    ("what", "broken"),
    [
        (
            "letters whose deliveries do not match their dates",
            "DELETE FROM deliveries WHERE occasion = 'second' AND status = 'held'",
        ),
        (
            "deliveries promised for another time than their letter",
            "UPDATE deliveries SET promised_at = due_at WHERE status = 'scheduled' AND attempts = 1",
        ),
        (
            "sent deliveries of kept letters without an accepted attempt",
            "DELETE FROM attempts WHERE outcome = 'accepted'",
        ),
        (
            "accepted attempts of deliveries that are not sent",
            "UPDATE deliveries SET status = 'scheduled', sent_at = NULL WHERE status = 'sent'",
        ),
        (
            "uncertain deliveries without an unanswered attempt",
            "DELETE FROM attempts WHERE outcome = 'unanswered'",
        ),
        (
            "counters that differ from the deliveries",
            "UPDATE counters SET number = number + 1 WHERE kind = 'failed'",
        ),
        (
            "attempts that were not counted",
            "DELETE FROM counters WHERE kind = 'accepted'",
        ),
    ],
)
async def test_each_inconsistency_is_found(what: str, broken: str) -> None:
    sums = await _found(broken=broken)
    assert {name: count for name, count in sums.impossible.items() if count} == {what: 1}
    assert not sums.adds_up


async def test_a_second_delivery_without_a_date_is_found() -> None:
    sums = await _found(broken="UPDATE letters SET second_send_at = NULL WHERE second_send_at IS NOT NULL")
    assert sums.impossible["letters whose deliveries do not match their dates"] == 7
    assert sums.impossible["deliveries promised for another time than their letter"] == 7


async def test_a_claim_whose_worker_is_gone_is_found() -> None:
    """The foreign key forbids it; a restored backup or a manual change may break it."""
    if connection().capabilities.dialect == "sqlite":
        await connection().execute_query("PRAGMA foreign_keys = OFF")
    else:
        await connection().execute_query("ALTER TABLE workers DISABLE TRIGGER ALL")
    sums = await _found(broken="DELETE FROM workers")
    assert {name: count for name, count in sums.impossible.items() if count} == {"claims without a worker": 1}
    assert not sums.adds_up


async def test_a_purged_letter_with_unsent_deliveries_is_found() -> None:
    assert (await Letter.filter(deliveries__status=Status.CANCELLED).distinct().count()) == 1
    emptied = dict.fromkeys((f"{column}_sealed" for column in LETTER_COLUMNS), None)
    await Letter.all().update(purged_at=NOW, **emptied)
    sums = await audit()
    assert sums.impossible["purged letters with unsent deliveries"] == 12 + 1 + 1
    assert not sums.adds_up


async def test_a_wrong_sum_does_not_add_up() -> None:
    sums = Audit(letters=1, deliveries=2, by_status={"sent": 1}, ever_unanswered=0, impossible={})
    assert not sums.adds_up
