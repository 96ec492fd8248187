"""The statistics of the dashboard, on both databases."""

from datetime import date, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store.job_runs import SCAN, record_job_start
from app.store.models import Attempt, Delivery
from app.store.statistics import MONTH, Backlog, SentCount, backlog, month_statistics, refusals, status_summary
from app.store.workers import SCHEDULER, acquire_lease, heartbeat, register, unregister
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger, claim_due, new_worker

pytestmark = pytest.mark.anyio

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SEOUL = ZoneInfo("Asia/Seoul")


@pytest.mark.usefixtures("cipher")
async def test_the_summary_names_the_leader_and_the_last_scan() -> None:
    empty = await status_summary(NOW)
    assert (empty.scheduler, empty.last_scan) == (None, None)
    worker = uuid4()
    await register(worker, "mailhost", NOW)
    await acquire_lease(SCHEDULER, worker, NOW)
    await heartbeat(worker, NOW + MINUTE, "535 5.7.8 wrong password")
    await record_job_start(SCAN, "mailhost", NOW, NOW + MINUTE)
    found = await status_summary(NOW)
    assert (found.scheduler, found.seen_at) == ("mailhost", NOW + MINUTE)
    assert found.troubles == (("mailhost", "535 5.7.8 wrong password"),)
    assert found.last_scan
    assert found.last_scan.next_at == NOW + MINUTE
    await unregister(worker)
    assert (await status_summary(NOW)).seen_at is None


async def test_the_summary_counts_due_held_uncertain_and_failed(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW + MINUTE)
    assert (await status_summary(NOW)).backlog == Backlog(0, 0, None)
    await ledger.add(Status.SCHEDULED, NOW)
    await ledger.add(Status.SCHEDULED, NOW - 2 * MINUTE)
    await ledger.add(Status.SCHEDULED, NOW - MINUTE, occasion=Occasion.RECEIPT)
    for status in (Status.HELD, Status.FAILED, Status.FAILED, Status.UNCERTAIN, Status.SENT):
        await ledger.add(status, NOW - 9 * MINUTE)
    overdue = await ledger.add(Status.HELD, NOW)
    await Delivery.filter(id=overdue.id).update(held_reason=HeldReason.OVERDUE)
    found = await status_summary(NOW)
    assert found.backlog == Backlog(3, 0, NOW - 2 * MINUTE)
    assert (found.held, found.uncertain, found.failed) == ({"operator": 1, "overdue": 1}, 1, 2)


async def test_claimed_deliveries_are_not_counted_as_due(ledger: Ledger) -> None:
    """Of those that fell due in this quarter of an hour and of those before, which are counted in other ways."""
    for minutes in (0, 1, 20, 30):
        await ledger.add(Status.SCHEDULED, NOW - minutes * MINUTE)
    assert await backlog(NOW) == Backlog(4, 0, NOW - 30 * MINUTE)
    await claim_due(await new_worker(), limit=1)
    assert await backlog(NOW) == Backlog(3, 1, NOW - 20 * MINUTE)
    await claim_due(await new_worker(), limit=2)
    assert await backlog(NOW) == Backlog(1, 3, NOW)


async def test_days_are_those_of_the_operators_zone(ledger: Ledger) -> None:
    midnight = datetime(2026, 1, 2, 0, 0, tzinfo=SEOUL)
    for status, at in (
        (Status.SENT, midnight - MINUTE),
        (Status.SENT, midnight),
        (Status.FAILED, midnight - 3 * HOUR),
        (Status.SCHEDULED, midnight + 5 * DAY),
        (Status.SCHEDULED, midnight + 6 * DAY - MINUTE),
    ):
        await ledger.add(status, at)
    found = (await month_statistics(midnight + 12 * HOUR, SEOUL)).days
    assert (len(found), found[MONTH].day) == (2 * MONTH + 1, date(2026, 1, 2))
    there = [(each.day.day, each.waiting, each.sent, each.failed) for each in found if each.day.month == 1]
    assert [each for each in there if any(each[1:])] == [(1, 0, 1, 1), (2, 0, 1, 0), (7, 2, 0, 0)]


async def test_recent_counts_lateness_and_durations(ledger: Ledger) -> None:
    for hours in (0, 20, 30, 200):
        delivery = await ledger.add(Status.SENT, NOW - hours * HOUR)
        await ledger.attempt(delivery, AttemptResult.ACCEPTED, 250, "ok")
    await Delivery.filter(id=delivery.id).update(promised_at=NOW - 202 * HOUR)
    await ledger.add(Status.SENT, NOW, occasion=Occasion.RECEIPT)
    await ledger.add(Status.FAILED, NOW - 21 * HOUR)
    found = await month_statistics(NOW, SEOUL)
    assert found.recent == (SentCount(NOW - HOUR, 2, 0), SentCount(NOW - DAY, 3, 1), SentCount(NOW - 7 * DAY, 4, 1))
    assert found.lateness == {60.0: 3, 21600.0: 1}  # letters; a receipt promises no time
    assert found.durations == {0.01: 4}


async def test_refusals_are_grouped_by_reply(ledger: Ledger) -> None:
    delivery = await ledger.add(Status.SCHEDULED, NOW)
    for queue in ("3F2A", "77B1"):
        await ledger.attempt(delivery, AttemptResult.TRANSIENT, 450, f"greylisted as {queue}")
    await ledger.attempt(delivery, AttemptResult.PERMANENT, 550, "no such user")
    await ledger.attempt(delivery, AttemptResult.ACCEPTED, 250, "ok")
    await ledger.attempt(delivery, AttemptResult.UNANSWERED, None, "")
    found = [(each.said, each.times) for each in await refusals(NOW + HOUR)]
    assert found == [("450 4.2.1 greylisted as 77B1", 2), ("unanswered", 1), ("550 4.2.1 no such user", 1)]
    await Attempt.filter(code=550).update(ended_at=NOW - 2 * DAY)
    assert len(await refusals(NOW + HOUR)) == 2
