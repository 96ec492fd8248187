"""Forgetting in the background: at the start, at midnight where the operator lives, and stopped between batches."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from app.delivery import purging as module
from app.delivery.purging import Purging
from app.delivery.scheduler import Scheduler
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.sealing import Sealer
from app.store.database import connected
from app.store.forgetting import purge
from app.store.letters import Letters
from app.store.models import Letter
from app.store.vault import open_vault
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio

KEEP = timedelta(days=30)


@pytest.fixture
def clock() -> FrozenClock:
    """Stand still at the present: APScheduler reads the wall's clock beside ours."""
    return FrozenClock(datetime.now(UTC))


@pytest.fixture
async def letters(sqlite_url: str) -> AsyncIterator[Letters]:
    async with connected(sqlite_url):
        vault = await open_vault(Sealer(["k" * 32]))
        yield Letters(vault, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain="slow.test")


async def _withdrawn(letters: Letters, clock: FrozenClock) -> None:
    ago = clock.now() - KEEP - timedelta(days=1)
    posted = await letters.post(Draft(recipient_email="minji@example.org", body="Dear you"), ago)
    await letters.withdraw(posted.token, ago)


async def _started(scheduler: Scheduler, purging: Purging) -> None:
    """Wait until APScheduler has begun it."""
    assert scheduler.running
    async with asyncio.timeout(10):
        while purging._background is None:  # noqa: ASYNC110 - APScheduler says nothing when it does
            await asyncio.sleep(0)


async def test_the_leader_forgets_at_its_start_and_every_midnight(letters: Letters, clock: FrozenClock) -> None:
    await _withdrawn(letters, clock)
    purging = Purging(KEEP, clock)
    seoul = ZoneInfo("Asia/Seoul")
    scheduler = Scheduler(Purging(KEEP, clock), timedelta(minutes=1), clock, "office", purging, seoul)
    scheduler.start()
    await _started(scheduler, purging)
    await purging.ended()
    assert await Letter.exclude(purged_at=None).count() == 1
    assert isinstance(scheduler._scheduler, AsyncIOScheduler)
    following = scheduler._scheduler.get_job("purge").next_run_time.astimezone(seoul)
    assert (following.hour, following.minute) == (0, 0)
    assert timedelta() < following - datetime.now(UTC) <= timedelta(days=1)
    scheduler.stop()
    await scheduler.ended()


async def test_it_stops_between_two_batches_and_goes_on_the_next_time(
    letters: Letters, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await _withdrawn(letters, clock)
        clock.advance(timedelta(seconds=1))
    purging = Purging(KEEP, clock)

    async def one_by_one(now: datetime, keep: timedelta) -> AsyncIterator[int]:
        async for purged in purge(now, keep, 1):
            purging.stop()
            yield purged

    monkeypatch.setattr(module, "purge", one_by_one)
    for forgotten in (1, 2, 3):
        purging.start()
        await purging.ended()
        assert await Letter.exclude(purged_at=None).count() == forgotten


async def test_a_database_that_is_away_stops_nothing(
    letters: Letters, clock: FrozenClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> AsyncIterator[int]:
        raise ConnectionRefusedError

    await _withdrawn(letters, clock)
    monkeypatch.setattr(module, "purge", away)
    purging = Purging(KEEP, clock)
    purging.start()
    await purging.ended()
    assert "the next time" in "".join(capsys.readouterr())
