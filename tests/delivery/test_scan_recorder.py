"""What the scheduler's scans leave on record, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.delivery.scheduler import ScanRecorder
from app.store.database import connected
from app.store.job_runs import SCAN, last_run
from app.store.models import JobRun, LedgerCounter
from tests.clock import NEW_YEAR as NOW
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
async def _connected(database_url: str) -> AsyncIterator[None]:
    async with connected(database_url):
        yield


class Scans:
    """A scan that runs until a test sets how many it started."""

    def __init__(self) -> None:
        self.result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._running: asyncio.Task[int] | None = None

    def start(self) -> "asyncio.Task[int]":
        if self._running is None or self._running.done():
            self.result = asyncio.get_running_loop().create_future()
            self._running = asyncio.ensure_future(self._run())
        return self._running

    async def _run(self) -> int:
        return await self.result


async def _run_of_now() -> JobRun:
    run = await last_run(SCAN)
    assert run
    return run


async def _written(scan_recorder: ScanRecorder) -> None:
    """Wait until the start is recorded; the scan still runs."""
    while not scan_recorder._lock.locked():  # noqa: ASYNC110 - nothing says when it begins to write
        await asyncio.sleep(0)
    async with scan_recorder._lock:
        pass


async def test_a_scan_is_on_record_from_its_beginning(clock: FrozenClock) -> None:
    scans = Scans()
    scan_recorder = ScanRecorder(scans.start, MINUTE, clock, "post:1")
    assert await last_run(SCAN) is None
    scan_recorder.start()
    await _written(scan_recorder)
    run = await _run_of_now()
    assert (run.worker_name, run.started_at, run.ended_at, run.next_at) == ("post:1", NOW, None, NOW + MINUTE)
    clock.advance(timedelta(seconds=90))
    scans.result.set_result(7)
    await scan_recorder.ended()
    run = await _run_of_now()
    assert (run.ended_at, run.number, run.runs, run.milliseconds) == (NOW + timedelta(seconds=90), 7, 1, 90_000)


async def test_while_a_scan_runs_the_next_minute_shows_that_the_scheduler_lives(clock: FrozenClock) -> None:
    scans = Scans()
    scan_recorder = ScanRecorder(scans.start, MINUTE, clock, "post:1")
    scan_recorder.start()
    await _written(scan_recorder)
    clock.advance(MINUTE)
    scan_recorder.start()
    await _written(scan_recorder)
    run = await _run_of_now()
    assert (run.started_at, run.ended_at, run.next_at) == (NOW, None, NOW + 2 * MINUTE)
    scans.result.set_result(1)
    await scan_recorder.ended()
    clock.advance(MINUTE)
    scan_recorder.start()
    await _written(scan_recorder)
    run = await _run_of_now()
    assert (run.started_at, run.ended_at, run.number, run.runs) == (NOW + 2 * MINUTE, None, 0, 1)
    scans.result.set_result(0)
    await scan_recorder.ended()


async def test_each_minute_keeps_the_counts_few(clock: FrozenClock) -> None:
    for part in range(3):
        await LedgerCounter.create(
            kind="sent", notice=False, detail="60", quarter=0, number=0, milliseconds=0, part=part
        )
    scans = Scans()
    scan_recorder = ScanRecorder(scans.start, MINUTE, clock, "post:1")
    scan_recorder.start()
    await _written(scan_recorder)
    assert await LedgerCounter.all().count() == 0
    scans.result.set_result(0)
    await scan_recorder.ended()
