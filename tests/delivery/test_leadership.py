"""One process leads: it is replaced when it dies, frees the lease when it stops, and stops in time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tortoise.exceptions import OperationalError

from app.delivery.loop_errors import survived
from app.store import workers
from app.store.models import Delivery, Lease
from tests.delivery.workers import LEASE, Choices, Harness, Process
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio

BEAT = LEASE / 15


@asynccontextmanager
async def two_processes(harness: Harness, port: int) -> AsyncIterator[tuple[Process, Process]]:
    """Two on one database, whose ticks a test calls."""
    async with harness.process(port, name="one") as one, harness.process(port, name="two") as two:
        yield one, two


async def test_of_two_one_leads(harness: Harness, server: MailServer) -> None:
    async with two_processes(harness, server.port) as (one, two):
        for _ in range(5):
            await asyncio.gather(one.worker.tick(), two.worker.tick())
            harness.clock.advance(BEAT)
            assert [one.scheduler.running, two.scheduler.running].count(True) == 1


async def test_after_a_resignation_another_leads_at_once(harness: Harness, server: MailServer) -> None:
    async with two_processes(harness, server.port) as (one, two):
        await one.worker.tick()
        await two.worker.tick()
        assert (one.scheduler.running, two.scheduler.running) == (True, False)
        await one.leadership.resign()
        await two.worker.tick()
        await one.worker.tick()  # and does not come back
        assert (one.scheduler.running, two.scheduler.running) == (False, True)


async def test_a_resignation_during_an_acquisition_frees_the_lease(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, taking, go_on = workers.acquire_lease, asyncio.Event(), asyncio.Event()

    async def slow(*args: object) -> bool:
        taking.set()
        await go_on.wait()
        return await take(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(workers, "acquire_lease", slow)
    async with two_processes(harness, server.port) as (one, _):
        tick = asyncio.create_task(one.worker.tick())
        await taking.wait()
        resigned = asyncio.create_task(one.leadership.resign())
        await asyncio.wait([resigned], timeout=0.1)  # it would free the lease now, if it did not wait its turn
        go_on.set()
        await asyncio.gather(tick, resigned)
        assert not one.scheduler.running
        assert await Lease.filter(name=workers.SCHEDULER, worker_id=None).exists()


async def test_a_dead_leader_is_replaced_after_the_lease_and_not_before(harness: Harness, server: MailServer) -> None:
    async with two_processes(harness, server.port) as (one, two):
        await one.worker.tick()
        await two.worker.tick()
        passed = timedelta()
        while not two.scheduler.running:
            harness.clock.advance(BEAT)
            passed += BEAT
            await two.worker.tick()
            one.leadership.check()
            assert not (one.scheduler.running and two.scheduler.running)
        assert LEASE <= passed <= LEASE + timedelta(seconds=5)


async def test_a_leader_without_a_database_stops_before_others_may_take_over(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_processes(harness, server.port) as (one, _):
        await one.worker.tick()

        async def away(*_: object) -> bool:
            raise OperationalError("the database is away")

        monkeypatch.setattr(workers, "heartbeat", away)
        stopped_after = timedelta()
        while one.scheduler.running:
            harness.clock.advance(BEAT)
            stopped_after += BEAT
            await one.worker.tick()
        assert LEASE / 2 < stopped_after < LEASE


async def test_a_leader_whose_database_hangs_stops_all_the_same(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick that never returns does not keep the worker from checking its lease."""
    async with harness.unregistered(server.port, Choices(lease=timedelta(seconds=0.3))) as process, process.worker:
        assert process.scheduler.running
        hangs = asyncio.Event()

        async def hang(*_: object) -> bool:
            hangs.set()
            await asyncio.Event().wait()
            return False

        monkeypatch.setattr(workers, "heartbeat", hang)
        stopped = asyncio.Event()
        monkeypatch.setattr(process.scheduler, "stop", _then(process.scheduler.stop, stopped.set))
        await hangs.wait()
        harness.clock.advance(timedelta(seconds=0.25))
        await asyncio.wait_for(stopped.wait(), 60)
        monkeypatch.undo()


async def test_a_heartbeat_that_hangs_for_a_lease_is_given_up_for_another(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harness.unregistered(server.port, Choices(lease=timedelta(seconds=0.3))) as process, process.worker:
        beat, begun = workers.heartbeat, 0

        async def hang_once(*args: object) -> bool:
            nonlocal begun
            begun += 1
            if begun == 1:
                await asyncio.Event().wait()
            goes_on.set()
            return await beat(*args)  # type: ignore[arg-type]

        goes_on = asyncio.Event()
        monkeypatch.setattr(workers, "heartbeat", hang_once)
        await asyncio.wait_for(goes_on.wait(), 60)


async def test_a_failing_part_of_a_tick_stops_no_other_and_is_logged_once(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with harness.process(server.port) as process:

        async def fail(*_: object) -> None:
            raise ValueError

        monkeypatch.setattr(process.heartbeat, "recover_stalled", fail)
        monkeypatch.setattr(process.dispatcher, "release_unconfirmed", fail)
        before = survived["recovery"]
        for _ in range(3):
            await process.worker.tick()
        assert process.scheduler.running
        assert survived["recovery"] == before + 3
        assert "".join(capsys.readouterr()).count("unexpected error") == 2
        monkeypatch.undo()


async def test_an_error_of_the_leader_s_check_ends_no_heartbeat(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the log broke under `Scheduler.stop`."""
    async with harness.unregistered(server.port, Choices(lease=timedelta(seconds=0.3))) as process, process.worker:

        def fail() -> None:
            raise BrokenPipeError

        monkeypatch.setattr(process.leadership, "check", fail)
        beats = max((await workers.heartbeats()).values())
        async with asyncio.timeout(60):
            while max((await workers.heartbeats()).values()) < beats + 3:  # noqa: ASYNC110 - the database does not tell
                await asyncio.sleep(0.01)
        monkeypatch.undo()


def _then(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        first()
        second()

    return both


async def test_claims_of_a_dead_worker_do_not_wait_for_the_next_scan(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("minji@x.test")
    async with two_processes(harness, server.port) as (one, two):
        await two.worker.tick()
        await one.claim()
        for _ in range(17):
            harness.clock.advance(BEAT)
            await two.worker.tick()
        await server.has_accepted(1)
        await two.landed()
    assert not await Delivery.filter(claim_token__isnull=False).exists()
