"""Taking back what a dead worker held, and the races around it, on both databases."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from tortoise.exceptions import IntegrityError

from app.crypto import Cipher
from app.domain.status import AttemptResult, Status
from app.store.cipher import open_cipher
from app.store.claims import claim, hand_over, reclaim
from app.store.models import Attempt, Delivery, Worker
from app.store.settlements import AttemptRecord, given_back, sent, settle
from app.store.sql import POSTGRES
from app.store.workers import SCHEDULER, acquire_lease, heartbeat, heartbeats, holds_lease
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger, claim_due, new_worker
from tests.store.locks import in_the_way, waiting
from tests.store.test_settlements import TAKEN

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(minutes=1)


async def test_what_was_not_handed_over_is_scheduled_uncharged_and_the_rest_is_uncertain(ledger: Ledger) -> None:
    for _ in range(4):
        await ledger.add(Status.SCHEDULED, NOW)
    dead = await new_worker("mailhost:17")
    claimed = await claim_due(dead)
    gone, stayed = claimed[:2], claimed[2:]
    assert await hand_over(gone, NOW) == {one.id for one in gone}
    assert len(await reclaim(dead, 0, LATER)) == 4
    for one in stayed:
        row = await Delivery.get(id=one.id)
        assert (row.status, row.status_at, row.due_at) == (Status.SCHEDULED, LATER, one.due_at)
        assert (row.attempts, row.unanswered) == (0, 0)
    for one in gone:
        row = await Delivery.get(id=one.id)
        assert (row.status, row.status_at, row.due_at) == (Status.UNCERTAIN, LATER, LATER)
        assert (row.attempts, row.unanswered) == (1, 1)
        attempt = await Attempt.get(delivery_id=one.id)
        assert (attempt.claim_token, attempt.worker_name) == (one.token, "mailhost:17")
        assert (attempt.outcome, attempt.code) == (AttemptResult.UNANSWERED, None)
        assert (attempt.started_at, attempt.handed_over_at, attempt.ended_at) == (NOW, NOW, LATER)
    free = await Delivery.filter(claim_token=None, claimed_by_id=None, handed_over_at=None).count()
    assert free == await Delivery.all().count()


async def test_a_reclaimed_worker_is_struck_off_and_its_leases_are_free(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    dead, other = await new_worker(), await new_worker()
    await acquire_lease(SCHEDULER, dead, NOW)
    await claim_due(dead)
    await reclaim(dead, 0, LATER)
    assert await heartbeats() == {other: 0}
    assert not await heartbeat(dead, LATER)
    assert not await holds_lease(SCHEDULER, dead)
    assert await acquire_lease(SCHEDULER, other, LATER)
    with pytest.raises(IntegrityError):
        await claim_due(dead)


async def test_a_worker_that_has_moved_its_beat_is_left_alone(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    slow = await new_worker()
    (claimed,) = await claim_due(slow)
    await heartbeat(slow, NOW)
    assert len(await reclaim(slow, 0, LATER)) == 0
    assert (await Delivery.get(id=claimed.id)).claimed_by_id == slow
    assert await Worker.exists(id=slow)
    assert len(await reclaim(slow, 1, LATER)) == 1


async def test_a_worker_is_reclaimed_once_and_others_keep_their_claims(ledger: Ledger) -> None:
    for _ in range(2):
        await ledger.add(Status.SCHEDULED, NOW)
    dead, alive = await new_worker(), await new_worker()
    await claim_due(dead, limit=1)
    (kept,) = await claim_due(alive)
    taken = await asyncio.gather(*(reclaim(dead, 0, LATER) for _ in range(5)))
    assert sorted(map(len, taken)) == [0, 0, 0, 0, 1]
    assert (await Delivery.get(id=kept.id)).claimed_by_id == alive


@pytest.mark.usefixtures("cipher")
async def test_a_dead_worker_without_claims_is_struck_off_too() -> None:
    dead = await new_worker()
    assert len(await reclaim(dead, 0, LATER)) == 0
    assert not await Worker.exists()


async def test_hundreds_of_claims_are_taken_back_at_once(ledger: Ledger) -> None:
    await ledger.multiply(await ledger.add(Status.SCHEDULED, NOW), 599)
    dead = await new_worker()
    claimed = await claim_due(dead)
    await hand_over(claimed[::2], NOW)
    assert len(await reclaim(dead, 0, LATER)) == 600
    assert await Delivery.filter(status=Status.SCHEDULED).count() == 300
    assert await Delivery.filter(status=Status.UNCERTAIN, unanswered=1).count() == 300
    assert await Attempt.all().count() == 300


async def test_reclaiming_settling_and_handing_over_at_once_leaves_every_delivery_in_one_piece(
    ledger: Ledger,
) -> None:
    """Whoever comes first decides; whoever comes second is told."""
    await ledger.multiply(await ledger.add(Status.SCHEDULED, NOW), 59)
    dead = await new_worker()
    claimed = await claim_due(dead)
    how = AttemptRecord(NOW, NOW, NOW, TAKEN)
    _, handed_over, settled = await asyncio.gather(
        reclaim(dead, 0, LATER),
        asyncio.gather(*(hand_over([one], NOW) for one in claimed[:30])),
        asyncio.gather(*(settle([sent(one, how)], "worker") for one in claimed[30:])),
    )
    rows = {row.id: row.status for row in await Delivery.all()}
    for one, ours in zip(claimed[:30], handed_over, strict=True):
        assert rows[one.id] is (Status.UNCERTAIN if ours else Status.SCHEDULED)
    for one, ours in zip(claimed[30:], settled, strict=True):
        assert rows[one.id] is (Status.SENT if ours else Status.SCHEDULED)


# From here on: PostgreSQL, with transactions that stand open in one another's way, in both orders.


@pytest.fixture
async def bare(outsider: asyncpg.Connection) -> Ledger:
    assert outsider
    return Ledger(await open_cipher(Cipher(["k" * 32])))


async def test_a_hand_over_that_comes_first_makes_it_uncertain(outsider: asyncpg.Connection, bare: Ledger) -> None:
    one, other = [await bare.add(Status.SCHEDULED, NOW) for _ in range(2)]
    dead = await new_worker()
    claimed = await claim_due(dead)
    async with in_the_way(outsider, f"SELECT 1 FROM deliveries WHERE id = {other.id} FOR UPDATE"):
        handing_over = asyncio.create_task(hand_over(claimed, NOW))
        await waiting(outsider, 1)  # the first is written, not committed; the second stands in the way
        reclaiming = asyncio.create_task(reclaim(dead, 0, LATER))
        await waiting(outsider, 2)
    assert await handing_over == {one.id, other.id}
    assert len(await reclaiming) == 2
    assert {row.status for row in await Delivery.all()} == {Status.UNCERTAIN}
    assert await Attempt.all().count() == 2


async def test_a_reclaim_that_comes_first_stops_the_hand_over(outsider: asyncpg.Connection, bare: Ledger) -> None:
    delivery = await bare.add(Status.SCHEDULED, NOW)
    dead = await new_worker()
    await acquire_lease(SCHEDULER, dead, NOW)
    claimed = await claim_due(dead)
    async with in_the_way(outsider, "SELECT 1 FROM leases FOR UPDATE"):
        reclaiming = asyncio.create_task(reclaim(dead, 0, LATER))
        await waiting(outsider, 1)  # it has taken the claim back, and cannot free the lease yet
        handing_over = asyncio.create_task(hand_over(claimed, NOW))
        settling = asyncio.create_task(settle([given_back(claimed[0], NOW)], "worker"))
        await waiting(outsider, 3)
    assert len(await reclaiming) == 1
    assert await handing_over == await settling == set()
    row = await Delivery.get(id=delivery.id)
    assert (row.status, row.handed_over_at) == (Status.SCHEDULED, None)


async def test_a_settle_that_comes_first_is_not_undone(outsider: asyncpg.Connection, bare: Ledger) -> None:
    one, other = [await bare.add(Status.SCHEDULED, NOW) for _ in range(2)]
    dead = await new_worker()
    claimed = await claim_due(dead)
    endings = [sent(each, AttemptRecord(NOW, NOW, NOW, TAKEN)) for each in claimed]
    async with in_the_way(outsider, f"SELECT 1 FROM deliveries WHERE id = {other.id} FOR UPDATE"):
        settling = asyncio.create_task(settle(endings, "worker"))
        await waiting(outsider, 1)
        reclaiming = asyncio.create_task(reclaim(dead, 0, LATER))
        await waiting(outsider, 2)
    assert await settling == {one.id, other.id}
    assert len(await reclaiming) == 0
    assert {row.status for row in await Delivery.all()} == {Status.SENT}


async def test_who_claims_during_its_own_reclaim_claims_nothing(outsider: asyncpg.Connection, bare: Ledger) -> None:
    await bare.add(Status.SCHEDULED, NOW)
    zombie = await new_worker()
    await acquire_lease(SCHEDULER, zombie, NOW)
    async with in_the_way(outsider, "SELECT 1 FROM leases FOR UPDATE"):
        reclaiming = asyncio.create_task(reclaim(zombie, 0, LATER))
        await waiting(outsider, 1)
        claiming = asyncio.create_task(claim_due(zombie))
        beating = asyncio.create_task(heartbeat(zombie, NOW))
        await waiting(outsider, 3)
    assert len(await reclaiming) == 0
    assert not await beating
    with pytest.raises(IntegrityError):
        await claiming
    assert {row.status for row in await Delivery.all()} == {Status.SCHEDULED}


async def test_a_claim_that_comes_before_the_reclaim_is_taken_back_too(
    outsider: asyncpg.Connection, bare: Ledger
) -> None:
    await bare.add(Status.SCHEDULED, NOW)
    zombie = await new_worker()
    async with outsider.transaction():
        await outsider.fetch(POSTGRES.claim.format(kind="NOT notice"), NOW, uuid4(), zombie, NOW, "[]", 10)
        reclaiming = asyncio.create_task(reclaim(zombie, 0, LATER))
        await waiting(outsider, 1)
    assert len(await reclaiming) == 1
    row = await Delivery.all().get()
    assert (row.status, row.claimed_by_id) == (Status.SCHEDULED, None)
    assert not await Worker.exists()


async def test_a_beat_that_comes_first_saves_its_worker(outsider: asyncpg.Connection, bare: Ledger) -> None:
    await bare.add(Status.SCHEDULED, NOW)
    slow = await new_worker()
    (claimed,) = await claim_due(slow)
    async with outsider.transaction():
        await outsider.execute("UPDATE workers SET beat = beat + 1")
        reclaiming = asyncio.create_task(reclaim(slow, 0, LATER))
        await waiting(outsider, 1)
    assert len(await reclaiming) == 0
    assert (await Delivery.get(id=claimed.id)).claimed_by_id == slow


async def test_claims_pass_by_what_another_is_claiming(outsider: asyncpg.Connection, bare: Ledger) -> None:
    oldest, next_ = [await bare.add(Status.SCHEDULED, NOW - timedelta(minutes=each)) for each in (2, 1)]
    async with in_the_way(outsider, f"SELECT 1 FROM deliveries WHERE id = {oldest.id} FOR UPDATE"):
        async with asyncio.timeout(60):
            claimed = await claim(await new_worker(), uuid4(), NOW, 1, notices=False)
        assert [one.id for one in claimed] == [next_.id]
