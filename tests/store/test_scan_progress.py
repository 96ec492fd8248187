"""The progress of a scan, by the counters, on both databases."""

from datetime import timedelta

import pytest

from app.domain.status import Status
from app.store.job_runs import SCAN, record_job_end, record_job_start, scan_progress
from tests.clock import NEW_YEAR as NOW  # 09:30, the beginning of a quarter of an hour
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def _scan(ended: bool = False) -> None:
    await record_job_start(SCAN, "worker", NOW + MINUTE, NOW + 2 * MINUTE)
    if ended:
        await record_job_end(SCAN, NOW + MINUTE, timedelta(seconds=1), 1)


async def test_without_a_scan_there_is_no_progress(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    assert await scan_progress(NOW) is None


async def test_scan_progress_counts_done_and_left(ledger: Ledger) -> None:
    await _scan()
    await ledger.add(Status.SENT, NOW - MINUTE)  # before this scan's quarter of an hour
    for status in (Status.SENT, Status.FAILED, Status.UNCERTAIN, Status.SENT):
        await ledger.add(status, NOW + MINUTE)
    for status in (Status.SCHEDULED, Status.CLAIMED):
        await ledger.add(status, NOW - 9 * MINUTE)
    for later in (5 * MINUTE, 40 * MINUTE):  # the first in the same quarter of an hour, but not due
        await ledger.add(Status.SCHEDULED, NOW + later)
    await ledger.add(Status.HELD, NOW - MINUTE)
    found = await scan_progress(NOW + 2 * MINUTE)
    assert found
    assert (found.running, found.since) == (True, NOW)
    assert (found.done, found.left, found.total) == (4, 2, 6)
    assert found.refresh_after == timedelta(seconds=2)


async def test_the_page_refreshes_for_the_next_scan_where_something_will_be_due(ledger: Ledger) -> None:
    await _scan(ended=True)
    await ledger.add(Status.SCHEDULED, NOW + 3 * MINUTE)
    quiet = await scan_progress(NOW + MINUTE)
    assert quiet
    assert (quiet.running, quiet.left, quiet.refresh_after) == (False, 0, None)
    await ledger.add(Status.SCHEDULED, NOW + 1.5 * MINUTE)
    awaited = await scan_progress(NOW + MINUTE)
    assert awaited
    assert awaited.refresh_after == MINUTE


async def test_a_scan_that_stopped_does_not_refresh_the_page(ledger: Ledger) -> None:
    """Its record is never closed, and the next scan is long overdue."""
    await _scan()
    await ledger.add(Status.SENT, NOW + MINUTE)
    found = await scan_progress(NOW + 60 * MINUTE)
    assert found
    assert (found.running, found.refresh_after) == (False, None)
