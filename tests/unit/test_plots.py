"""Where the bars of the desk's pictures stand, and how its numbers are written."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.admin.dashboard import HEIGHT, Bar, Cell, calendar, ceiling, stacked
from app.web.formatting import NumberFormatter

COUNTS = st.lists(st.integers(0, 10**7), min_size=1, max_size=31)


@pytest.mark.parametrize(
    ("largest", "top"), [(0, 1), (1, 1), (3, 5), (9, 10), (10, 10), (11, 20), (51, 100), (4_321, 5_000)]
)
def test_the_height_stands_for_a_round_number(largest: int, top: int) -> None:
    assert ceiling(largest) == top


def test_bars_stand_on_one_another() -> None:
    lower, upper, top = stacked([10, 0, 5], [0, 2, 5])
    assert top == 10
    assert lower == [Bar(1.5, 0.0, 7.0, 100.0), Bar(11.5, 100.0, 7.0, 0.0), Bar(21.5, 50.0, 7.0, 50.0)]
    assert upper == [Bar(1.5, 0.0, 7.0, 0.0), Bar(11.5, 80.0, 7.0, 20.0), Bar(21.5, 0.0, 7.0, 50.0)]


@given(COUNTS)
def test_no_bar_leaves_the_picture_and_none_that_counts_is_invisible(counts: list[int]) -> None:
    for bars in stacked(counts, counts[::-1])[:2]:
        assert all(0 <= bar.y <= HEIGHT and bar.x + bar.width <= len(counts) * 10 for bar in bars)
    lower, _, _ = stacked(counts, [0] * len(counts))
    assert all((bar.height >= 1) == bool(number) for bar, number in zip(lower, counts, strict=True))


def test_a_calendar_begins_on_monday() -> None:
    first = date(2026, 1, 1)  # a Thursday
    weeks = calendar([(first + timedelta(days=number), number) for number in range(9)])
    assert [len(week) for week in weeks] == [7, 7]
    assert weeks[0][:4] == [None, None, None, Cell(first, 0, 0)]
    assert weeks[1][4] == Cell(date(2026, 1, 9), 8, 5)
    assert weeks[1][5:] == [None, None]
    assert calendar([]) == []


@given(COUNTS)
def test_a_day_with_anything_is_shaded(counts: list[int]) -> None:
    first = date(2026, 1, 5)
    weeks = calendar([(first + timedelta(days=number), count) for number, count in enumerate(counts)])
    for cell in filter(None, (cell for week in weeks for cell in week)):
        assert (cell.shade > 0) == (cell.number > 0)
        assert cell.shade <= 5


def test_numbers_are_written_in_the_pages_language() -> None:
    english, korean = NumberFormatter("en"), NumberFormatter("ko")
    assert [english.short(number) for number in (0, 9_999, 12_345, 3_000_000)] == ["0", "9,999", "12.3K", "3M"]
    assert [korean.short(number) for number in (12_345, 3_000_000)] == ["1.2만", "300만"]
    assert (english.share(0.9999), korean.share(1.0)) == ("99.9\N{NARROW NO-BREAK SPACE}%", "100%")
    assert [english.seconds(each) for each in (0.0404, 1.25, 300)] == ["40 ms", "1.2 sec", "5 min"]
    assert korean.seconds(0.0404) == "40ms"
