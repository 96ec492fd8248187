"""The nightly cleaning, on both databases: what is dropped, what stays, and that the ledger adds up after it."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from app.crypto import new_token, token_hash
from app.delivery.daily import Cleanup
from app.domain.delivery_filter import DeliveryFilter
from app.domain.status import Action, AttemptResult, HeldReason, Status
from app.store.accounts import ensure_first_account
from app.store.audit_log import Operator, audit_entries
from app.store.bulk_actions import BulkTarget, begin, progress, step
from app.store.cipher import LETTER_COLUMNS
from app.store.models import Account, Attempt, Delivery, Letter, Session
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

KEEP = timedelta(days=30)
_SEALED = [f"{column}_sealed" for column in LETTER_COLUMNS]
LONG_AGO = NOW - KEEP - timedelta(seconds=1)


async def _clean() -> int:
    return sum([number async for number in Cleanup(KEEP)(NOW)])


@pytest.mark.parametrize(
    ("reason", "after"),
    [
        (HeldReason.BLOCKED, Status.CANCELLED),
        (HeldReason.FIRST_REFUSED, Status.CANCELLED),
        (HeldReason.UNDELIVERABLE, Status.CANCELLED),
        (HeldReason.OPERATOR, Status.HELD),
        (HeldReason.OVERDUE, Status.HELD),
        (HeldReason.UNREADABLE, Status.HELD),
    ],
)
async def test_what_nobody_wants_is_given_up(ledger: Ledger, reason: HeldReason, after: Status) -> None:
    await _held(ledger, reason, due_at=LONG_AGO, since=LONG_AGO)
    assert await _clean() == (after is Status.CANCELLED)
    assert await Delivery.filter(status=after).count() == 1


async def test_what_is_held_but_not_long_or_not_due_yet_waits(ledger: Ledger) -> None:
    await _held(ledger, HeldReason.BLOCKED, due_at=NOW + timedelta(days=900), since=LONG_AGO)
    await _held(ledger, HeldReason.BLOCKED, due_at=LONG_AGO, since=NOW - KEEP + timedelta(seconds=1))
    assert await _clean() == 0


async def test_old_attempts_of_forgotten_letters_are_dropped_and_their_counts_stay(ledger: Ledger) -> None:
    for purged, ended_at in ((True, LONG_AGO), (False, LONG_AGO), (True, NOW)):
        delivery = await ledger.add(Status.SENT, ended_at)
        await ledger.attempt(delivery, AttemptResult.ACCEPTED, 250, "ok")
        await Attempt.filter(delivery_id=delivery.id).update(ended_at=ended_at)
        if purged:
            await Letter.filter(id=delivery.letter_id).update(purged_at=ended_at, **dict.fromkeys(_SEALED))
    assert await _clean() == 1
    assert await Attempt.all().count() == 2


@pytest.mark.usefixtures("cipher")
async def test_logins_that_ran_out_are_dropped() -> None:
    await ensure_first_account("admin", "a long enough password", NOW)
    account = await Account.get(username="admin")
    for seen_at in (NOW, NOW - timedelta(minutes=31)):
        await Session.create(token_hash=token_hash(new_token()), account=account, created_at=seen_at, seen_at=seen_at)
    assert await _clean() == 1
    assert await Session.filter(seen_at=NOW).exists()


@pytest.mark.usefixtures("cipher")
async def test_what_operators_asked_for_long_ago_and_has_ended_is_dropped_but_not_from_the_trail() -> None:
    recently, forgotten, unfinished = [uuid4() for _ in range(3)]
    for bulk in (recently, forgotten, unfinished):
        await begin(
            bulk, Action.HOLD, BulkTarget(DeliveryFilter(frozenset({Status.SENT}))), 0, Operator("jihye"), LONG_AGO
        )
    await step(recently, NOW - KEEP + timedelta(seconds=1))
    await step(forgotten, NOW - KEEP)
    assert await _clean() == 1
    assert [await progress(bulk) is None for bulk in (recently, forgotten, unfinished)] == [False, True, False]
    assert len(await audit_entries()) == 2


async def _held(ledger: Ledger, reason: HeldReason, *, due_at: datetime, since: datetime) -> None:
    delivery = await ledger.add(Status.SCHEDULED, due_at)
    held = {"status": Status.HELD, "held_reason": reason, "status_at": since}
    await Delivery.filter(id=delivery.id).update(**held)
