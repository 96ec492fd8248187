"""Claiming due deliveries and undoing claims, on both databases."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from tortoise.exceptions import IntegrityError

from app.domain.letter import Draft
from app.domain.status import HeldReason, Occasion, Status
from app.store.cipher import LetterCipher
from app.store.claims import claim, hand_over, unclaim
from app.store.letters import Letters
from app.store.models import Delivery, UndeliverableAddress
from app.store.workers import unregister
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, Ledger, claim_due, new_worker

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
MINUTE = timedelta(minutes=1)
LETTER = Draft(recipient_email=READER, sender_email=WRITER, body="Dear you", subject="Hello", language="ko")


async def test_a_claim_is_exclusive_to_its_worker(ledger: Ledger) -> None:
    delivery = await ledger.add(Status.SCHEDULED, NOW)
    worker, token = await new_worker(), uuid4()
    (claimed,) = await claim(worker, token, NOW + MINUTE, 10, notices=False)
    assert (claimed.id, claimed.token, claimed.claimed_at) == (delivery.id, token, NOW + MINUTE)
    row = await Delivery.get(id=delivery.id)
    assert (row.status, row.status_at) == (Status.CLAIMED, NOW + MINUTE)
    assert (row.claim_token, row.claimed_by_id, row.handed_over_at) == (token, worker, None)
    assert (row.due_at, row.attempts) == (NOW, 0)
    assert await claim_due(worker) == []


async def test_a_claim_has_all_that_a_courier_needs(prompt_letters: Letters, cipher: LetterCipher) -> None:
    posted = await prompt_letters.post(LETTER, NOW - 2 * MINUTE)
    await Delivery.filter(occasion=Occasion.FIRST).update(attempts=3, unanswered=1, first_refused_at=NOW - MINUTE)
    worker = await new_worker()
    (receipt,) = await claim_due(worker, notices=True)
    first, second = await claim_due(worker)
    assert [one.occasion for one in (receipt, first, second)] == [Occasion.RECEIPT, Occasion.FIRST, Occasion.SECOND]
    assert (first.attempts, first.first_refused_at) == (3, NOW - MINUTE)
    assert (second.attempts, second.first_refused_at) == (0, None)
    assert (first.due_at, second.due_at) == (posted.send_at, posted.second_send_at)
    assert first.due_at.tzinfo is not None
    assert first.domain_hmac == cipher.domain_hmac(READER)
    assert receipt.domain_hmac == cipher.domain_hmac(WRITER)
    values = cipher.open_letter(first.letter)
    assert (values["body"], values["subject"], values["token"]) == ("Dear you", "Hello", posted.token)
    assert first.letter["language"] == "ko"
    stored = {row.id: row.message_id for row in await Delivery.all()}
    assert all(one.message_id == stored[one.id] for one in (receipt, first, second))


async def test_the_oldest_are_claimed_first_up_to_the_limit(ledger: Ledger) -> None:
    minutes = [5, 1, 4, 2, 3]
    by_minute = {minute: await ledger.add(Status.SCHEDULED, NOW - minute * MINUTE) for minute in minutes}
    worker = await new_worker()
    assert [one.id for one in await claim_due(worker, limit=2)] == [by_minute[5].id, by_minute[4].id]
    assert [one.id for one in await claim_due(worker, limit=9)] == [by_minute[3].id, by_minute[2].id, by_minute[1].id]


async def test_nothing_is_claimed_before_it_is_due(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW + timedelta(microseconds=1))
    now = await ledger.add(Status.SCHEDULED, NOW)
    assert [one.id for one in await claim_due(await new_worker())] == [now.id]


async def test_only_scheduled_deliveries_are_claimed(ledger: Ledger) -> None:
    for status in set(Status) - {Status.SCHEDULED}:
        await ledger.add(status, NOW - MINUTE)
        await ledger.add(status, NOW - MINUTE, occasion=Occasion.RECEIPT)
    worker = await new_worker()
    assert await claim_due(worker) == await claim_due(worker, notices=True) == []


async def test_notices_and_letters_are_claimed_apart(ledger: Ledger) -> None:
    letter = await ledger.add(Status.SCHEDULED, NOW - MINUTE)
    notice = await ledger.add(Status.SCHEDULED, NOW, occasion=Occasion.RECEIPT)
    worker = await new_worker()
    assert [one.id for one in await claim_due(worker, notices=True)] == [notice.id]
    assert [one.id for one in await claim_due(worker)] == [letter.id]


async def test_closed_domains_are_skipped_and_do_not_block_others(ledger: Ledger) -> None:
    for number, domain in enumerate(["slow", "slow", "dead", "quick", "quick"]):
        delivery = await ledger.add(Status.SCHEDULED, NOW - (9 - number) * MINUTE)
        await Delivery.filter(id=delivery.id).update(domain_hmac=domain)
    worker = await new_worker()
    found = await claim(worker, uuid4(), NOW, 10, notices=False, closed=["slow", "dead", "unknown"])
    assert [one.domain_hmac for one in found] == ["quick", "quick"]
    assert [one.domain_hmac for one in await claim_due(worker)] == ["slow", "slow", "dead"]


async def test_a_claim_says_whether_the_address_is_known_not_to_exist(
    prompt_letters: Letters, cipher: LetterCipher
) -> None:
    await prompt_letters.post(LETTER, NOW - MINUTE)
    await UndeliverableAddress.create(address_hmac=cipher.address_hmac(READER), since=NOW)
    worker = await new_worker()
    first, second = await claim_due(worker)
    (receipt,) = await claim_due(worker, notices=True)
    assert (first.hold_reason, second.hold_reason, receipt.hold_reason) == (
        HeldReason.UNDELIVERABLE,
        HeldReason.UNDELIVERABLE,
        None,
    )


async def test_a_retired_worker_claims_nothing(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    worker = await new_worker()
    assert await unregister(worker)
    for stranger in (worker, uuid4()):
        with pytest.raises(IntegrityError):
            await claim_due(stranger)
    assert await Delivery.filter(status=Status.SCHEDULED).count() == 1


@pytest.mark.usefixtures("cipher")
async def test_an_empty_ledger_has_nothing_to_claim() -> None:
    assert await claim_due(await new_worker()) == []


@pytest.mark.slow
async def test_concurrent_processes_never_claim_the_same_delivery(ledger: Ledger, database_url: str) -> None:
    """Each claims, hands over and settles; on SQLite only the file is shared."""
    await ledger.multiply(await ledger.add(Status.SCHEDULED, NOW), 1_999)
    claimers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.store.claimer", database_url),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for claimer in claimers:
        assert claimer.stdout
        await claimer.stdout.readline()
    outputs = await asyncio.gather(*(claimer.communicate(b"go\n") for claimer in claimers))
    assert [claimer.returncode for claimer in claimers] == [0, 0, 0]
    sent = [[int(one) for one in output.split()] for output, _ in outputs]
    everything = [one for each in sent for one in each]
    assert len(list(filter(None, sent))) > 1, "nothing is shown where one of them got all"
    assert len(everything) == len(set(everything)) == 2_000
    assert await Delivery.filter(status=Status.SENT, attempts=1).count() == 2_000


async def test_concurrent_claims_in_one_process_never_get_the_same_delivery(ledger: Ledger) -> None:
    await ledger.multiply(await ledger.add(Status.SCHEDULED, NOW), 199)
    worker = await new_worker()
    groups = await asyncio.gather(*(claim_due(worker, limit=20) for _ in range(10)))
    ids = [one.id for group in groups for one in group]
    assert len(ids) == len(set(ids)) == 200


async def test_a_claim_whose_result_was_lost_is_undone(ledger: Ledger) -> None:
    for _ in range(3):
        await ledger.add(Status.SCHEDULED, NOW)
    worker = await new_worker()
    (kept,), lost = await claim_due(worker, limit=1), await claim_due(worker)
    assert await unclaim(lost[0].token, NOW + MINUTE) == 2
    rows = {row.id: row for row in await Delivery.all()}
    assert rows[kept.id].status is Status.CLAIMED
    for one in lost:
        row = rows[one.id]
        assert (row.status, row.status_at, row.attempts) == (Status.SCHEDULED, NOW + MINUTE, 0)
        assert (row.claim_token, row.claimed_by_id) == (None, None)
    assert await unclaim(lost[0].token, NOW + MINUTE) == 0


async def test_a_handed_over_delivery_cannot_be_unclaimed(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    (claimed,) = await claim_due(await new_worker())
    await hand_over([claimed], NOW)
    assert await unclaim(claimed.token, NOW) == 0
    assert (await Delivery.get(id=claimed.id)).status is Status.CLAIMED
