"""What an operator is told about: a table of how the post office stands."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.alerts import GRACE, Alert, Snapshot, Thresholds, firing
from tests.clock import NEW_YEAR as NOW

LIMITS = Thresholds(oldest=timedelta(hours=1), failures=10)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
WELL = Snapshot(
    now=NOW,
    watched_since=NOW - timedelta(days=1),
    paused=False,
    led_at=NOW,
    oldest_due_at=NOW + timedelta(days=1),
    tried_at=NOW,
    sent=1000,
    failed=0,
    unanswered=0,
    trouble="",
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, set()),
        ({"oldest_due_at": None, "tried_at": None}, set()),
        ({"oldest_due_at": NOW - GRACE, "tried_at": NOW - GRACE}, {Alert.STALLED}),
        ({"oldest_due_at": NOW - GRACE, "tried_at": NOW - GRACE + SECOND}, set()),
        ({"oldest_due_at": NOW - GRACE + SECOND, "tried_at": NOW - HOUR}, set()),
        ({"oldest_due_at": NOW - GRACE, "tried_at": NOW - HOUR, "paused": True}, set()),
        ({"oldest_due_at": NOW - GRACE, "tried_at": None, "watched_since": NOW - SECOND}, set()),
        ({"oldest_due_at": NOW - GRACE, "tried_at": None, "trouble": "no greeting"}, {Alert.MAIL_SERVER}),
        ({"oldest_due_at": NOW - HOUR}, {Alert.LATE}),
        ({"oldest_due_at": NOW - HOUR + SECOND}, set()),
        ({"oldest_due_at": NOW - HOUR, "paused": True}, set()),
        ({"led_at": NOW - GRACE}, {Alert.NO_SCHEDULER}),
        ({"led_at": NOW - GRACE, "paused": True}, {Alert.NO_SCHEDULER}),
        ({"led_at": NOW - GRACE + SECOND}, set()),
        ({"led_at": None}, {Alert.NO_SCHEDULER}),
        ({"led_at": None, "watched_since": NOW - SECOND}, set()),
        ({"led_at": NOW - HOUR, "watched_since": NOW - SECOND}, set()),
        ({"sent": 90, "failed": 10}, {Alert.FAILING}),
        ({"sent": 91, "failed": 10}, set()),
        ({"sent": 9, "failed": 10}, set()),
        ({"sent": 0, "failed": 20}, {Alert.FAILING}),
        ({"unanswered": 1}, {Alert.UNCERTAIN}),
        ({"trouble": "535 login refused"}, {Alert.MAIL_SERVER}),
    ],
)
def test_what_rings(change: dict[str, object], expected: set[Alert]) -> None:
    assert firing(replace(WELL, **change), LIMITS) == expected  # type: ignore[arg-type]
