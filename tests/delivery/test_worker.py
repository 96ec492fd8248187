"""From entering among the workers to leaving them: nothing is left claimed, nothing doubled."""

import asyncio

import pytest
from tortoise.exceptions import OperationalError

from app.delivery import completer, dispatcher, worker
from app.domain.status import Status
from app.store import settlements, workers
from app.store.models import Delivery, Lease, Worker
from tests.delivery.workers import LEASE, Choices, Harness, Process, by_status, firsts, only
from tests.smtp_server import STALL, MailServer, Stage

pytestmark = pytest.mark.anyio


class Stalling:
    """A policy: at one stage the first letter gets no answer."""

    def __init__(self, at: Stage) -> None:
        self._at = at
        self.begun = asyncio.Event()

    def __call__(self, stage: Stage, _reader: str) -> str:
        if stage != self._at:
            return ""
        self.begun.set()
        return STALL


async def test_a_worker_delivers_by_itself_and_leaves_nothing_behind(harness: Harness, server: MailServer) -> None:
    readers = [f"reader{number}@x.test" for number in range(20)]
    await harness.post_and_wait(*readers)
    async with harness.unregistered(server.port) as process, process.worker:
        await server.has_accepted(20)
    assert await by_status() == {"sent": 20, "scheduled": 20}
    assert not await Worker.exists()
    assert await Lease.filter(name=workers.SCHEDULER, worker_id=None).exists()


async def test_stopped_it_finishes_what_is_in_flight_and_claims_nothing_more(
    harness: Harness, server: MailServer
) -> None:
    await harness.post_and_wait(*(f"reader@x{number}.test" for number in range(40)))
    async with harness.unregistered(server.port, Choices(slots=4)) as process:
        async with process.worker:
            await server.has_accepted(5)
            process.worker.stop()
            process.worker.stop()  # twice is the same as once
        arrived = len(server.accepted)
        assert 5 <= arrived < 40
    assert await by_status() == {"sent": arrived, "scheduled": 80 - arrived}
    assert {delivery.attempts for delivery in await firsts() if delivery.status is Status.SCHEDULED} == {0}
    assert not await Worker.exists()


@pytest.mark.parametrize(("stage", "status"), [("rcpt", Status.SCHEDULED), ("body", Status.UNCERTAIN)])
async def test_a_stuck_delivery_is_cancelled_after_the_grace_time(
    harness: Harness, server: MailServer, stage: Stage, status: Status
) -> None:
    server.policy = policy = Stalling(stage)
    await harness.post_and_wait("minji@x.test")
    async with harness.unregistered(server.port, Choices(grace=0.01)) as process, process.worker:
        await policy.begun.wait()
    delivery = await only()
    assert (delivery.status, delivery.attempts) == (status, int(status is Status.UNCERTAIN))
    assert not await Worker.exists()
    assert "claimed" not in await by_status()


async def test_a_recovered_worker_registers_again_and_its_old_claims_are_fenced(
    harness: Harness, server: MailServer
) -> None:
    await harness.post_and_wait("minji@x.test")
    followers = Choices(leads=False)
    async with (
        harness.process(server.port, followers, name="sleeper") as sleeper,
        harness.process(server.port, followers, name="other") as other,
    ):
        old = sleeper.heartbeat.id
        (claimed,) = await sleeper.claim()
        await _recover(harness, other)
        assert (await only()).status is Status.SCHEDULED
        await sleeper.worker.tick()
        assert sleeper.heartbeat.id != old
        await sleeper.deliver_one(claimed)
        assert server.accepted == []
        await sleeper.deliver()
    assert len(server.accepted) == 1
    assert await by_status() == {"sent": 1, "scheduled": 1}


async def _recover(harness: Harness, process: Process) -> None:
    """Let a lease pass in which only this process writes heartbeats."""
    for _ in range(20):
        await process.beat()
        harness.clock.advance(LEASE / 15)


async def test_two_that_scan_at_once_send_each_letter_once(harness: Harness, server: MailServer) -> None:
    readers = [f"reader{number}@x{number % 50}.test" for number in range(600)]
    await harness.post_and_wait(*readers)
    async with harness.process(server.port, name="one") as one, harness.process(server.port, name="two") as two:
        await asyncio.gather(one.deliver(), two.deliver())
        shares = [process.completer.settled[Status.SENT] for process in (one, two)]
    assert sum(shares) == 600
    assert min(shares) > 0
    assert sorted(accepted.recipients[0] for accepted in server.accepted) == sorted(readers)
    assert {delivery.attempts for delivery in await firsts()} == {1}
    assert await by_status() == {"sent": 600, "scheduled": 600}


async def test_claims_of_a_dead_worker_are_sent_by_another(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("minji@x.test", "jun@x.test")
    async with harness.process(server.port, name="dead") as dead, harness.process(server.port, name="alive") as alive:
        await dead.claim(2)
        await alive.deliver()
        assert server.accepted == []
        await _recover(harness, alive)
        await alive.deliver()
    assert len(server.accepted) == 2
    assert {delivery.attempts for delivery in await firsts()} == {1}
    assert await Delivery.filter(claimed_by_id__isnull=False).count() == 0


async def test_it_ends_without_a_database_too_and_the_others_find_out(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = asyncio.Event()

    async def away(*_: object) -> set[int]:
        answered.set()
        raise OperationalError("the database is away")

    monkeypatch.setattr(completer, "_RETRY_PAUSE", 3600.0)  # what it never records is not tried again in another test
    monkeypatch.setattr(dispatcher, "_SETTLE_TIME", 0.01)
    monkeypatch.setattr(worker, "_SETTLE_TIME", 0.01)
    await harness.post_and_wait("minji@x.test")
    async with harness.unregistered(server.port, Choices(grace=0.01)) as process:
        with monkeypatch.context() as patch:
            patch.setattr(settlements, "settle", away)
            async with process.worker:
                await answered.wait()
    left = await only()
    assert (left.status, left.handed_over_at) == (Status.CLAIMED, harness.clock.now())
    async with harness.process(server.port, Choices(leads=False, on_uncertain="hold")) as heir:
        await _recover(harness, heir)
    assert await by_status() == {"sent": 1, "scheduled": 1}  # the answer was written down
