"""The operator's transitions, on both databases: from which states, and what each changes."""

import contextlib
from datetime import timedelta

import pytest

from app.domain.status import Action, AttemptResult, HeldReason, Occasion, Status
from app.store import operator_actions
from app.store.audit import audit
from app.store.database import transaction
from app.store.models import Attempt, Delivery, Letter, UndeliverableAddress
from app.store.operator_actions import TRANSITIONS
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger, claim_due, new_worker

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def _one(ledger: Ledger, status: Status, **values: object) -> Delivery:
    delivery = await ledger.add(status, NOW + HOUR)
    if values:
        await Delivery.filter(id=delivery.id).update(**values)
    return delivery


async def _second_of(ledger: Ledger, first: Delivery) -> Delivery:
    second = await ledger.add(Status.HELD, NOW + HOUR, occasion=Occasion.SECOND)
    await Delivery.filter(id=second.id).update(letter_id=first.letter_id, held_reason=HeldReason.FIRST_REFUSED)
    return second


async def _address_is_dead(delivery: Delivery) -> None:
    letter = await Letter.get(id=delivery.letter_id)
    await UndeliverableAddress.create(address_hmac=letter.recipient_hmac, since=NOW)


@pytest.mark.parametrize("action", Action)
async def test_a_transition_applies_to_its_own_states_only(ledger: Ledger, action: Action) -> None:
    rows = {status: await ledger.add(status, NOW + HOUR) for status in Status}
    before = {each["id"]: each for each in await Delivery.all().values()}
    ids = [row.id for row in rows.values()]
    moved = await TRANSITIONS[action](ids, NOW)
    assert moved == sorted(rows[status].id for status in action.begins_at)
    after = {each["id"]: each for each in await Delivery.all().values()}
    assert {after[each]["status"] for each in moved} == {action.ends_at}
    assert {each: row for each, row in after.items() if each not in moved} == {
        each: row for each, row in before.items() if each not in moved
    }
    if action is not Action.CANCEL:  # a second click finds nothing to do
        assert await TRANSITIONS[action](ids, NOW) == []
    assert (await audit()).impossible["accepted attempts of deliveries that are not sent"] == 0


async def test_every_action_has_a_function() -> None:
    assert set(TRANSITIONS) == set(Action)


async def test_only_the_given_ids_are_changed(ledger: Ledger) -> None:
    first, second, _ = [await _one(ledger, Status.SCHEDULED) for _ in range(3)]
    assert await operator_actions.hold([second.id, first.id, 10**9], NOW) == [first.id, second.id]
    assert await operator_actions.hold([], NOW) == []
    assert await Delivery.filter(status=Status.HELD, held_reason=HeldReason.OPERATOR, status_at=NOW).count() == 2


async def test_send_now_changes_due_at_and_keeps_promised_at(ledger: Ledger) -> None:
    delivery = await _one(ledger, Status.SCHEDULED)
    due = await ledger.add(Status.SCHEDULED, NOW - HOUR)
    assert await operator_actions.send_now([delivery.id, due.id], NOW) == [delivery.id]
    row = await Delivery.get(id=delivery.id)
    assert (row.due_at, row.promised_at, row.status_at) == (NOW, NOW + HOUR, NOW + HOUR)
    assert [claimed.id for claimed in await claim_due(await new_worker())] == [due.id, delivery.id]


async def test_claimed_deliveries_are_not_changed(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    (claimed,) = await claim_due(await new_worker())
    for edge in TRANSITIONS.values():
        assert await edge([claimed.id], NOW) == []


@pytest.mark.parametrize("reason", HeldReason)
async def test_release_schedules_all_but_blocked_deliveries(ledger: Ledger, reason: HeldReason) -> None:
    held = {"held_reason": reason, "awaited_hmac": "m" if reason is HeldReason.UNCONFIRMED else None}
    overdue = await _one(ledger, Status.HELD, due_at=NOW - HOUR, **held)
    ahead = await _one(ledger, Status.HELD, **held)
    ids = [overdue.id, ahead.id]
    assert await operator_actions.release(ids, NOW) == ([] if reason in ("blocked", "unconfirmed") else ids)
    if reason is HeldReason.OPERATOR:
        due = {row.id: row.due_at for row in await Delivery.all()}
        assert due == {overdue.id: NOW, ahead.id: NOW + HOUR}


async def test_release_clears_the_undeliverable_address(ledger: Ledger) -> None:
    held = await _one(ledger, Status.HELD, held_reason=HeldReason.UNDELIVERABLE)
    await _address_is_dead(held)
    await UndeliverableAddress.create(address_hmac="another", since=NOW)
    assert await operator_actions.release([held.id], NOW) == [held.id]
    assert [address.address_hmac for address in await UndeliverableAddress.all()] == ["another"]


async def test_requeue_starts_a_full_retry_period(ledger: Ledger) -> None:
    failed = await _one(ledger, Status.FAILED, attempts=30, unanswered=2, first_refused_at=NOW, due_at=NOW - HOUR)
    assert await operator_actions.requeue([failed.id], NOW) == [failed.id]
    row = await Delivery.get(id=failed.id)
    assert (row.attempts, row.unanswered, row.first_refused_at, row.due_at) == (2, 2, None, NOW)


async def test_requeue_of_a_first_releases_its_second(ledger: Ledger) -> None:
    first = await _one(ledger, Status.FAILED)
    second = await _second_of(ledger, first)
    other = await _second_of(ledger, await _one(ledger, Status.CANCELLED))
    assert await operator_actions.requeue([first.id], NOW) == [first.id]
    assert (await Delivery.get(id=second.id)).status is Status.SCHEDULED
    assert (await Delivery.get(id=other.id)).status is Status.HELD


async def test_only_requeue_undeliverable_sends_to_an_undeliverable_address(ledger: Ledger) -> None:
    failed = await _one(ledger, Status.FAILED)
    await _address_is_dead(failed)
    assert await operator_actions.requeue([failed.id], NOW) == []
    assert await operator_actions.requeue_undeliverable([failed.id], NOW) == [failed.id]
    assert not await UndeliverableAddress.exists()


@pytest.mark.parametrize("action", [Action.RELEASE, Action.REQUEUE, Action.TRUST, Action.RESEND])
async def test_a_purged_letter_never_goes_out_again(ledger: Ledger, action: Action) -> None:
    (status,) = action.begins_at
    delivery = await ledger.add(status, NOW)
    sealed = {name: None for name in Letter._meta.fields_map if name.endswith("_sealed")}
    await Letter.filter(id=delivery.letter_id).update(purged_at=NOW, **sealed)
    assert await TRANSITIONS[action]([delivery.id], NOW) == []


async def test_settling_as_sent_adds_an_accepted_attempt(ledger: Ledger) -> None:
    ids = [(await _one(ledger, Status.UNCERTAIN)).id for _ in range(3)]
    assert await operator_actions.settle_sent(ids, NOW) == ids
    assert await Delivery.filter(status=Status.SENT, sent_at=NOW).count() == 3
    attempts = await Attempt.all().order_by("delivery_id")
    assert [(each.delivery_id, each.outcome, each.worker_name) for each in attempts] == [
        (each, AttemptResult.ACCEPTED, "operator") for each in ids
    ]


async def test_actions_are_undone_with_the_surrounding_transaction(ledger: Ledger) -> None:
    delivery = await _one(ledger, Status.UNCERTAIN)
    with contextlib.suppress(ZeroDivisionError):
        async with transaction():
            assert await operator_actions.settle_sent([delivery.id], NOW) == [delivery.id]
            raise ZeroDivisionError
    assert (await Delivery.get(id=delivery.id)).status is Status.UNCERTAIN
    assert not await Attempt.exists()
