"""APScheduler's clock is the wall's: what happens when that one jumps, and at the start and the end."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.schedulers import asyncio as apscheduler

from app.delivery.scheduler import Scheduler
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Scans:
    """Counts the scans that were started."""

    def __init__(self) -> None:
        self.count = 0
        self._one_more = asyncio.Event()

    def start(self) -> None:
        self.count += 1
        self._one_more.set()

    async def ended(self) -> None:
        """Nothing goes on behind a scan that is only counted."""

    async def reach(self, count: int) -> None:
        while self.count < count:
            self._one_more.clear()
            await self._one_more.wait()


@pytest.fixture
def clock() -> FrozenClock:
    """Stand still at the present: APScheduler reads the wall's clock beside ours."""
    return FrozenClock(datetime.now(UTC))


@pytest.fixture
def scans() -> Scans:
    return Scans()


@pytest.fixture
async def scheduler(clock: FrozenClock, scans: Scans) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(scans, MINUTE, clock, "one")
    yield scheduler
    scheduler.stop()


def _job(scheduler: Scheduler) -> Any:
    assert isinstance(scheduler._scheduler, apscheduler.AsyncIOScheduler)
    return scheduler._scheduler.get_job("scan")


async def test_the_first_scan_is_at_the_start_and_the_next_a_minute_later(
    scheduler: Scheduler, scans: Scans, clock: FrozenClock
) -> None:
    assert not scheduler.running
    scheduler.start()
    await scans.reach(1)
    job = _job(scheduler)
    assert MINUTE <= job.next_run_time - clock.now() < 1.5 * MINUTE  # a minute after it ran
    assert (job.max_instances, job.coalesce, job.misfire_grace_time) == (1, True, None)


async def test_it_can_be_stopped_and_started_again(scheduler: Scheduler, scans: Scans) -> None:
    scheduler.start()
    await scans.reach(1)
    scheduler.stop()
    scheduler.stop()
    assert not scheduler.running
    scheduler.scan_now()
    scheduler.start()
    await scans.reach(2)
    assert scheduler.running


async def test_a_scan_can_be_asked_for(scheduler: Scheduler, scans: Scans) -> None:
    scheduler.start()
    await scans.reach(1)
    scheduler.scan_now()
    await scans.reach(2)


async def test_a_clock_set_back_an_hour_silences_it_for_two_minutes_at_most(
    scheduler: Scheduler, scans: Scans, clock: FrozenClock
) -> None:
    scheduler.start()
    await scans.reach(1)
    # As if the wall's clock had been set back: the next run seems to be an hour away.
    assert scheduler._scheduler
    scheduler._scheduler.modify_job("scan", next_run_time=clock.now() + HOUR)
    clock.jump(-HOUR)
    clock.advance(2 * MINUTE)
    scheduler.rearm()
    assert scans.count == 1
    clock.advance(timedelta(seconds=1))
    scheduler.rearm()
    await scans.reach(2)
    scheduler.rearm()  # and the next one not before two minutes again
    assert _job(scheduler).next_run_time <= datetime.now(UTC) + MINUTE


@pytest.mark.parametrize("by", [HOUR, timedelta(days=20_000)], ids=["an hour", "half a century"])
async def test_a_clock_set_forward_is_one_scan(
    scheduler: Scheduler, scans: Scans, clock: FrozenClock, by: timedelta
) -> None:
    scheduler.start()
    await scans.reach(1)
    assert scheduler._scheduler
    scheduler._scheduler.modify_job("scan", next_run_time=clock.now() - by)  # as if as many minutes had been missed
    began = time.process_time()
    await scans.reach(2)
    assert time.process_time() - began < 1
    assert _job(scheduler).next_run_time > clock.now()
    assert scans.count == 2
