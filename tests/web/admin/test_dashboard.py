"""When the page of today calls the scheduler alive, and what it makes of the figures."""

from datetime import date, timedelta

import pytest

from app.store.models import JobRun
from app.store.statistics import MONTH, Backlog, Day, MonthStatistics, SentCount, StatusSummary
from app.web.admin.dashboard import is_alive, situation_of
from tests.clock import NEW_YEAR as NOW

LEASE, MINUTE = timedelta(seconds=30), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seen_ago", "next_scan_ago", "alive"),
    [
        (None, None, False),
        (LEASE, None, True),
        (LEASE * 2, -MINUTE, False),
        (LEASE, 5 * MINUTE, True),
        (LEASE, 6 * MINUTE, False),
    ],
)
def test_it_is_alive_who_was_seen_and_scans_in_time(
    seen_ago: timedelta | None, next_scan_ago: timedelta | None, alive: bool
) -> None:
    stand = StatusSummary(
        scheduler="post",
        seen_at=None if seen_ago is None else NOW - seen_ago,
        last_scan=None if next_scan_ago is None else JobRun(name="scan", next_at=NOW - next_scan_ago),
        backlog=Backlog(0, 0, None),
        held={},
        uncertain=0,
        failed=0,
        troubles=(),
    )
    assert is_alive(stand, NOW, LEASE) is alive


def _figures(sent: int, failed: int) -> MonthStatistics:
    first = date(2026, 1, 1)
    days = tuple(Day(first + timedelta(days=number), number, 0, 0) for number in range(2 * MONTH + 1))
    recent = tuple(SentCount(NOW, sent, failed) for _ in range(3))
    return MonthStatistics(days, recent, lateness={60.0: 3, 3600.0: 1}, durations={0.05: 100})


def test_what_is_said_of_the_figures() -> None:
    sight = situation_of(_figures(sent=95, failed=5))
    assert (sight.success, sight.enough) == (0.95, True)
    assert sight.median == pytest.approx(0.0375)  # the step from 25 to 50 ms
    assert sight.lateness == [(60.0, 3, 0.75), (3600.0, 1, 0.25)]
    assert (len(sight.behind.days), sight.behind.days[-1].waiting) == (MONTH + 1, MONTH)
    assert sum(cell is not None for week in sight.ahead for cell in week) == MONTH + 1
    assert not situation_of(_figures(sent=94, failed=6)).enough
    assert situation_of(_figures(sent=0, failed=0)).success is None
