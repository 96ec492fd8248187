"""A clock that is far ahead of the last scan is waited for; one that is behind is only reported."""

from datetime import timedelta

import pytest

from app.clock import SystemClock
from app.delivery.clock_check import LONGEST_WAIT, ClockCheck
from app.domain.status import Status
from app.store.job_runs import SCAN, SCAN_COMMAND, last_scan_at, record_job_start, record_next_run
from tests.clock import FrozenClock
from tests.delivery.workers import MINUTE, Harness, by_status
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def _checked(clock: FrozenClock, since: timedelta) -> ClockCheck:
    """Return what a process knows at its start, `since` the last scan by a clock that nothing synchronises."""
    clock.is_synchronised = False
    check = ClockCheck(clock)
    check.start(clock.now() - since)
    return check


@pytest.mark.parametrize("says", [False, None])
def test_far_ahead_it_waits_ten_minutes_at_most(clock: FrozenClock, says: bool | None) -> None:
    check = _checked(clock, 3 * DAY)
    clock.is_synchronised = says
    assert not check.passes()
    assert check.deviation == 3 * DAY
    clock.advance(timedelta(seconds=LONGEST_WAIT - 1))
    assert not check.passes()
    clock.advance(timedelta(seconds=1))
    assert check.passes()
    assert check.deviation == timedelta()
    clock.advance(10 * DAY)
    assert check.passes()


def test_it_goes_on_as_soon_as_the_kernel_says_that_the_clock_is_synchronised(clock: FrozenClock) -> None:
    check = _checked(clock, 3 * DAY)
    assert not check.passes()
    clock.is_synchronised = True
    assert check.passes()


def test_it_goes_on_when_the_clock_is_set_right(clock: FrozenClock) -> None:
    check = _checked(clock, 10 * DAY)
    assert not check.passes()
    clock.jump(-10 * DAY)
    assert check.passes()


@pytest.mark.parametrize("since", [timedelta(), HOUR])
def test_an_hour_is_nothing(clock: FrozenClock, since: timedelta) -> None:
    assert _checked(clock, since).passes()


def test_an_empty_ledger_says_nothing(clock: FrozenClock) -> None:
    clock.is_synchronised = False
    check = ClockCheck(clock)
    check.start(None)
    assert check.passes()


def test_a_jump_while_running_is_noticed_and_time_that_passes_is_not(clock: FrozenClock) -> None:
    check = _checked(clock, timedelta())
    for _ in range(10):
        clock.advance(DAY)
        assert check.passes()
    clock.jump(2 * HOUR)
    assert not check.passes()
    clock.jump(-2 * HOUR)
    assert check.passes()


def test_behind_it_is_reported_and_holds_nothing_up(clock: FrozenClock) -> None:
    check = _checked(clock, -20_000 * DAY)
    assert check.passes()
    assert check.deviation == -20_000 * DAY
    clock.jump(20_000 * DAY)
    assert check.passes()
    assert check.deviation == timedelta()


async def test_nothing_is_claimed_cancelled_or_led_until_the_clock_passes(harness: Harness, server: MailServer) -> None:
    await record_job_start(SCAN, "before", harness.clock.now(), harness.clock.now() + MINUTE)
    await harness.post("minji@x.test")
    harness.clock.advance(10 * DAY)
    harness.clock.is_synchronised = False
    async with harness.unregistered(server.port) as process, process.worker:
        was_running = process.scheduler.running
        await process.deliver()
        assert (was_running, server.accepted) == (False, [])
        for _ in range(3):
            harness.clock.advance(timedelta(seconds=LONGEST_WAIT / 2))
            await process.worker.tick()
        assert process.scheduler.running
        await process.deliver()
    assert len(server.accepted) == 1
    assert await by_status() == {Status.SENT: 1, Status.SCHEDULED: 1}


async def test_a_jump_takes_the_leader_s_scheduler_away(harness: Harness, server: MailServer) -> None:
    harness.clock.is_synchronised = False
    async with harness.process(server.port) as process:
        running = []
        for jump in (timedelta(), 10 * DAY, -10 * DAY):
            harness.clock.jump(jump)
            await process.worker.tick()
            running.append(process.scheduler.running)
        assert running == [True, False, True]


@pytest.mark.usefixtures("harness")
async def test_the_last_scan_is_what_counts(clock: FrozenClock) -> None:
    assert await last_scan_at(MINUTE) is None
    await record_job_start("cleaning", "one", clock.now(), clock.now())
    assert await last_scan_at(MINUTE) is None
    began = clock.now()
    await record_job_start(SCAN, "one", began, began + MINUTE)
    assert await last_scan_at(MINUTE) == began
    clock.advance(5 * HOUR)  # a scan that runs for hours
    await record_next_run(SCAN, clock.now() + MINUTE)
    assert await last_scan_at(MINUTE) == clock.now()
    clock.advance(HOUR)
    await record_job_start(SCAN_COMMAND, "one", clock.now())
    assert await last_scan_at(MINUTE) == clock.now()


def test_the_kernel_answers() -> None:
    assert SystemClock().synchronised() in {True, False, None}
