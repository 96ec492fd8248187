"""Daily work: at its hour where the operator lives, late rather than never, and never twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.delivery.daily import Daily, times_of_day
from app.delivery.scheduler import Scheduler
from app.store.database import connected
from app.store.job_runs import last_run
from app.store.workers import register
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio
on_a_database = pytest.mark.usefixtures("_database")

SEOUL = ZoneInfo("Asia/Seoul")
DAY = timedelta(days=1)


@pytest.fixture
async def _database(database_url: str) -> AsyncIterator[None]:
    async with connected(database_url):
        yield


class Work:
    """Counts its parts; it may be stopped after one, or fail in the next."""

    def __init__(self, parts: int = 1) -> None:
        self.parts = parts
        self.done = 0
        self.daily: Daily | None = None
        self.error: Exception | None = None

    async def __call__(self, _: datetime) -> AsyncIterator[int]:
        for _part in range(self.parts):
            if self.error:
                raise self.error
            self.done += 1
            if self.daily:
                self.daily.stop()
            yield 1


class _NoScans:
    """Replaces the scans."""

    def start(self) -> None:
        pass

    async def ended(self) -> None:
        pass


async def _run(daily: Daily, worker: str = "one") -> None:
    daily.start(worker)
    await daily.ended()


@pytest.mark.parametrize(
    ("now", "last", "following"),
    [
        ("2026-11-21T00:00+00:00", "2026-11-21T00:00+00:00", "2026-11-22T00:00+00:00"),
        ("2026-11-21T23:59+00:00", "2026-11-21T00:00+00:00", "2026-11-22T00:00+00:00"),
        ("2026-11-20T23:59+00:00", "2026-11-20T00:00+00:00", "2026-11-21T00:00+00:00"),
    ],
)
def test_the_hour_comes_once_a_day_where_the_operator_lives(now: str, last: str, following: str) -> None:
    """Nine o'clock in Seoul is midnight in UTC."""
    expected = datetime.fromisoformat(last), datetime.fromisoformat(following)
    assert times_of_day(datetime.fromisoformat(now), 9, SEOUL) == expected


def test_an_hour_that_is_left_out_or_comes_twice_is_one_all_the_same() -> None:
    new_york = ZoneInfo("America/New_York")
    spring = [datetime(2026, 3, 8, hour, 30, tzinfo=UTC) for hour in range(24)]
    autumn = [datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in range(24)]
    assert len({times_of_day(now, 2, new_york)[0] for now in spring}) == 2
    assert len({times_of_day(now, 1, new_york)[0] for now in autumn}) == 2


@on_a_database
async def test_it_is_done_once_a_day_however_often_it_is_started(clock: FrozenClock) -> None:
    work = Work(parts=2)
    daily = Daily("cleaning", 0, work, SEOUL, clock)
    for _ in range(3):
        await _run(daily)
        await _run(Daily("cleaning", 0, work, SEOUL, clock), "another")
    assert work.done == 2
    run = await last_run("cleaning")
    assert run
    assert (run.worker_name, run.number, run.ended_at) == ("one", 2, clock.now())
    clock.advance(DAY)
    await _run(daily, "another")
    assert work.done == 4


@on_a_database
async def test_two_leaders_at_once_do_it_once(clock: FrozenClock) -> None:
    work = Work(parts=3)
    both = [Daily("cleaning", 0, work, SEOUL, clock) for _ in range(2)]
    for number, daily in enumerate(both):
        await register(uuid4(), f"one {number}", clock.now())
        daily.start(f"one {number}")
    await asyncio.gather(*(daily.ended() for daily in both))
    assert work.done == 3


@on_a_database
async def test_what_was_broken_off_is_done_by_the_next_leader_and_not_while_the_last_one_lives(
    clock: FrozenClock,
) -> None:
    work = Work(parts=3)
    await register(uuid4(), "slow", clock.now())
    work.daily = Daily("cleaning", 0, work, SEOUL, clock)
    await _run(work.daily, "slow")
    assert work.done == 1
    work.daily = None
    await _run(Daily("cleaning", 0, work, SEOUL, clock), "next")
    assert work.done == 1
    await _run(Daily("cleaning", 0, work, SEOUL, clock), "slow")
    assert work.done == 4
    clock.advance(DAY)
    work.daily = Daily("cleaning", 0, work, SEOUL, clock)
    await _run(work.daily, "gone")
    work.daily = None
    await _run(Daily("cleaning", 0, work, SEOUL, clock), "next")
    assert work.done == 8


@on_a_database
async def test_what_failed_is_tried_again_within_the_day(
    clock: FrozenClock, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work()
    daily = Daily("cleaning", 0, work, SEOUL, clock)
    work.error = ConnectionRefusedError()
    await _run(daily)
    assert "database unavailable" in "".join(capsys.readouterr())
    work.error = ValueError()
    await _run(daily)
    assert "unexpected error" in "".join(capsys.readouterr())
    work.error = None
    await _run(daily)
    assert work.done == 1


@on_a_database
async def test_the_leader_looks_at_its_start_and_every_hour() -> None:
    clock = FrozenClock(datetime.now(UTC))  # APScheduler reads the wall's clock beside ours
    work = Work()
    daily = Daily("cleaning", 0, work, SEOUL, clock)
    kathmandu = ZoneInfo("Asia/Kathmandu")
    scheduler = Scheduler(_NoScans(), timedelta(minutes=1), clock, "one", [daily], kathmandu)
    scheduler.start()
    async with asyncio.timeout(60):
        while daily._background is None:  # noqa: ASYNC110 - APScheduler says nothing when it does
            await asyncio.sleep(0)
    await daily.ended()
    assert work.done == 1
    assert isinstance(scheduler._scheduler, AsyncIOScheduler)
    following = scheduler._scheduler.get_job("daily").next_run_time
    assert following.astimezone(kathmandu).minute == 0
    assert timedelta() < following - datetime.now(UTC) <= timedelta(hours=1)
    scheduler.stop()
    await scheduler.ended()
