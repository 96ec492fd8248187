"""Moments in the operator's zone and language."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.web.formatting import DateFormatter, span
from tests.clock import NEW_YEAR as NOW


def test_a_date_stands_in_the_operator_s_zone_and_language() -> None:
    assert DateFormatter(ZoneInfo("Asia/Seoul"), "ko", NOW).date(NOW) == "2026. 1. 1. (목) 18:30"
    assert DateFormatter(ZoneInfo("America/New_York"), "en", NOW).date(NOW) == "Thu 1 Jan 2026, 04:30"


def test_the_zone_is_named_with_its_offset_of_today() -> None:
    summer = datetime(2026, 7, 1, tzinfo=UTC)
    assert DateFormatter(ZoneInfo("America/New_York"), "en", summer).zone_name == "America/New York (-04:00)"
    assert DateFormatter(ZoneInfo("America/New_York"), "en", NOW).zone_name == "America/New York (-05:00)"


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=119), "119 seconds"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=7), "7 days"),
        (timedelta(days=30), "30 days"),
    ],
)
def test_a_span_has_at_least_two_of_its_unit(length: timedelta, words: str) -> None:
    assert span(length, "en") == words


def test_a_distance_says_in_which_direction() -> None:
    moments = DateFormatter(ZoneInfo("UTC"), "en", NOW)
    assert moments.distance(NOW + timedelta(days=7)) == "in 7 days"
    assert moments.distance(NOW - timedelta(minutes=3)) == "3 minutes ago"
    assert DateFormatter(ZoneInfo("UTC"), "ko", NOW).distance(NOW + timedelta(days=7)) == "7일 후"
