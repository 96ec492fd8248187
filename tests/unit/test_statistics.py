"""Shares, quantiles, days and groups: what is read out of counts."""

from datetime import UTC, date, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.statistics import Refusal, days_around, grouped, quantile, share_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = (0.1, 1.0, 10.0, inf)


@pytest.mark.parametrize(
    ("counts", "share", "found"),
    [
        ([], 0.5, None),
        ([(1.0, 0)], 0.5, None),
        ([(1.0, 10)], 0.5, 0.5),
        ([(1.0, 10), (3.0, 10)], 0.5, 1.0),
        ([(1.0, 10), (3.0, 10)], 0.95, 2.8),
        ([(1.0, 0), (3.0, 10)], 0.5, 2.0),
        ([(1.0, 1), (inf, 99)], 0.5, 1.0),
    ],
)
def test_a_quantile_lies_within_its_step(counts: list[tuple[float, int]], share: float, found: float | None) -> None:
    assert quantile(counts, share) == (found if found is None else pytest.approx(found))


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(any))
def test_a_larger_share_is_never_quicker(numbers: list[int]) -> None:
    counts = list(zip(STEPS, numbers, strict=True))
    found = [quantile(counts, share) for share in (0.1, 0.5, 0.95, 1.0)]
    assert None not in found
    assert found == sorted(found, key=lambda each: each or 0)


def test_a_share_of_nothing_is_none() -> None:
    assert (share_of(0, 0), share_of(3, 1), share_of(0, 2)) == (None, 0.75, 0.0)


def test_days_are_as_long_as_the_zone_makes_them() -> None:
    """In Berlin the clocks are put forward on 29 March 2026."""
    days = days_around(datetime(2026, 3, 28, 23, 30, tzinfo=UTC), ZoneInfo("Europe/Berlin"), 1, 1)
    assert [day for day, _, _ in days] == [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)]
    hours = [(until.astimezone(UTC) - since.astimezone(UTC)) / timedelta(hours=1) for _, since, until in days]
    assert hours == [24, 23, 24]


def test_answers_are_one_but_for_numbers_and_never_one_with_other_codes() -> None:
    said = [
        ("450 4.7.1 greylisted, see help/8831", NOW),
        ("450 4.7.1 greylisted, see help/11", NOW - timedelta(hours=1)),
        ("451 4.7.1 greylisted, see help/11", NOW),
        ("550 5.1.1 greylisted, see help/11", NOW),
    ]
    found = grouped(said, 2)
    assert found == [Refusal(said[0][0], 2, NOW), Refusal(said[2][0], 1, NOW)]
