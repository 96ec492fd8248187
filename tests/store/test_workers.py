"""Workers, heartbeats and leases, on both databases."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from tortoise.exceptions import IntegrityError

from app.domain.status import Status
from app.store.models import Delivery, Lease, Worker
from app.store.workers import (
    SCHEDULER,
    acquire_lease,
    heartbeat,
    heartbeats,
    holds_lease,
    register,
    release_lease,
    unregister,
)
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger, claim_due, new_worker

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("cipher")]

MINUTE = timedelta(minutes=1)


async def test_a_heartbeat_counts_up_and_sets_the_time() -> None:
    worker, other = await new_worker("mailhost:17"), await new_worker()
    assert await heartbeat(worker, NOW + MINUTE)
    assert await heartbeat(worker, NOW + 2 * MINUTE)
    assert await heartbeats() == {worker: 2, other: 0}
    row = await Worker.get(id=worker)
    assert (row.name, row.started_at, row.seen_at) == ("mailhost:17", NOW, NOW + 2 * MINUTE)


async def test_the_heartbeat_of_a_removed_worker_fails() -> None:
    worker = await new_worker()
    await unregister(worker)
    assert not await heartbeat(worker, NOW)
    assert await heartbeats() == {}


async def test_a_worker_registers_once() -> None:
    worker = await new_worker()
    with pytest.raises(IntegrityError):
        await register(worker, "again", NOW)


async def test_a_lease_is_held_by_one_until_it_is_free() -> None:
    one, other = await new_worker(), await new_worker()
    assert await acquire_lease(SCHEDULER, one, NOW)
    assert not await acquire_lease(SCHEDULER, other, NOW)
    assert not await acquire_lease(SCHEDULER, one, NOW), "who holds it does not take it again"
    assert (await holds_lease(SCHEDULER, one), await holds_lease(SCHEDULER, other)) == (True, False)
    await release_lease(SCHEDULER, other)
    assert await holds_lease(SCHEDULER, one), "nobody frees another's lease"
    await release_lease(SCHEDULER, one)
    assert not await holds_lease(SCHEDULER, one)
    assert await acquire_lease(SCHEDULER, other, NOW + MINUTE)
    lease = await Lease.get(name=SCHEDULER)
    assert (lease.worker_id, lease.term, lease.taken_at) == (other, 2, NOW + MINUTE)


async def test_there_is_no_lease_of_another_name() -> None:
    worker = await new_worker()
    assert not await acquire_lease("treasure", worker, NOW)
    assert not await holds_lease("treasure", worker)


async def test_an_unregistered_worker_cannot_hold_a_lease() -> None:
    with pytest.raises(IntegrityError):
        await acquire_lease(SCHEDULER, uuid4(), NOW)


async def test_of_ten_concurrent_attempts_one_acquires_the_lease() -> None:
    workers = [await new_worker() for _ in range(10)]
    for round_ in range(5):
        taken = await asyncio.gather(*(acquire_lease(SCHEDULER, worker, NOW) for worker in workers))
        assert sum(taken) == 1
        lease = await Lease.get(name=SCHEDULER)
        assert (lease.worker_id, lease.term) == (workers[taken.index(True)], round_ + 1)
        await release_lease(SCHEDULER, workers[taken.index(True)])


async def test_unregistering_releases_leases() -> None:
    worker = await new_worker()
    await acquire_lease(SCHEDULER, worker, NOW)
    assert await unregister(worker)
    assert not await Worker.exists()
    assert await acquire_lease(SCHEDULER, await new_worker(), NOW)
    assert await unregister(worker), "twice is the same as once"


async def test_a_worker_with_claims_is_not_unregistered(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    worker = await new_worker()
    await acquire_lease(SCHEDULER, worker, NOW)
    await claim_due(worker)
    assert not await unregister(worker)
    assert await Worker.exists(id=worker)
    assert not await holds_lease(SCHEDULER, worker), "another leads at once"
    assert await Delivery.filter(status=Status.CLAIMED).count() == 1
