"""Rates, and the seats that one domain may take."""

from collections import Counter
from datetime import timedelta
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from app.delivery import pace as pace_module
from app.delivery.pace import Meter, Pace
from tests.clock import FrozenClock

SECOND = timedelta(seconds=1)


def _started(pace: Pace, domain: str, wanted: int = 100) -> list[float]:
    """Start as many letters of a domain as may be, up to `wanted`."""
    started: list[float] = []
    while len(started) < wanted and (since := pace.start(domain)) is not None:
        started.append(since)
    return started


def _finish(pace: Pace, domain: str, started: list[float]) -> None:
    for since in started:
        pace.finish(domain, since)


# How many at once


def test_a_domain_that_has_shown_nothing_yet_takes_a_quarter(clock: FrozenClock) -> None:
    pace = Pace(clock, 20, None, None)
    assert len(_started(pace, "new")) == 5
    assert pace.closed() == ["new"]
    assert len(_started(pace, "another")) == 5


def test_a_quick_domain_takes_all_but_a_fifth(clock: FrozenClock) -> None:
    pace = Pace(clock, 20, None, None)
    _finish(pace, "quick", _started(pace, "quick", 1))
    assert len(_started(pace, "quick", 20)) == 16
    assert pace.closed() == []
    assert pace.start("another") is not None


def test_a_domain_whose_letters_take_long_is_never_taken_for_quick(clock: FrozenClock) -> None:
    """Those that began together land together: the second lands no time after the first, and is slow all the same."""
    pace = Pace(clock, 20, None, None)
    for _ in range(5):
        started = _started(pace, "slow")
        assert len(started) == 5
        clock.advance(10 * SECOND)
        _finish(pace, "slow", started)


def test_a_quick_domain_that_falls_silent_gets_no_further_seat(clock: FrozenClock) -> None:
    pace = Pace(clock, 20, None, None)
    _finish(pace, "quick", _started(pace, "quick", 1))
    _started(pace, "quick", 8)
    clock.advance(3 * SECOND)
    assert pace.closed() == ["quick"]
    assert pace.start("quick") is None


def test_one_seat_is_left_even_of_few(clock: FrozenClock) -> None:
    pace = Pace(clock, 1, None, None)
    assert len(_started(pace, "new")) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(2.1, 30)), max_size=60))
def test_slow_domains_never_have_more_than_a_quarter(steps: list[tuple[str, float]]) -> None:
    clock = FrozenClock()
    pace = Pace(clock, 20, None, None)
    flying: list[tuple[str, float]] = []
    for domain, seconds in steps:
        flying += [(domain, since) for since in _started(pace, domain, 3)]
        assert max(Counter(name for name, _ in flying).values()) <= 5
        clock.advance(timedelta(seconds=seconds))
        pace.finish(*flying.pop(0))


# How fast


@given(st.integers(1, 6000), st.lists(st.floats(0, 90), min_size=1, max_size=50))
def test_a_meter_keeps_its_rate_in_every_minute(per_minute: int, pauses: list[float]) -> None:
    now = 1000.0
    meter = Meter(per_minute, now)
    taken: list[float] = []
    for pause in pauses:
        now += pause
        while meter.left(now):
            meter.take(now)
            taken.append(now)
    at_once = max(1, per_minute // 60)
    for index, start in enumerate(taken):
        assert sum(1 for moment in taken[index:] if moment < start + 60) <= per_minute + at_once


@given(st.integers(1, 6000))
def test_a_meter_opens_when_it_says(per_minute: int) -> None:
    meter = Meter(per_minute, 1000.0)
    while meter.left(1000.0):
        meter.take(1000.0)
    opens = meter.opens_in(1000.0)
    assert 0 < opens <= 60 / per_minute + 1e-6
    assert meter.left(1000.0 + opens / 2) == 0
    assert meter.left(1000.0 + opens) == 1


def test_a_meter_that_waits_its_turn_reaches_its_rate(clock: FrozenClock) -> None:
    meter, letters = Meter(60, clock.monotonic()), 0
    for _ in range(600):
        clock.advance(SECOND / 10)
        while meter.left(clock.monotonic()):
            meter.take(clock.monotonic())
            letters += 1
    assert letters in (60, 61)


def test_the_rate_over_all_bounds_who_may_go_now_and_who_within_seconds(clock: FrozenClock) -> None:
    pace = Pace(clock, 10, 120, None)
    assert (pace.soon(100), pace.soon(1)) == (12, 1)
    _started(pace, "a", 1)
    _started(pace, "b", 1)
    assert (pace.is_open(), pace.soon(100), pace.wait()) == (False, 10, 0.5)
    clock.advance(SECOND / 2)
    assert (pace.is_open(), pace.soon(100)) == (True, 11)


def test_a_rate_per_domain_closes_that_domain_alone(clock: FrozenClock) -> None:
    pace = Pace(clock, 10, None, 60)
    assert len(_started(pace, "a")) == 1
    assert (pace.closed(), pace.wait()) == (["a"], 1.0)
    assert len(_started(pace, "b")) == 1
    clock.advance(SECOND)
    assert pace.closed() == []


def test_what_there_is_to_wait_for(clock: FrozenClock) -> None:
    pace = Pace(clock, 8, None, None)
    assert pace.wait() is None
    started = _started(pace, "a")
    assert pace.wait() == inf  # a landing
    _finish(pace, "a", started)
    assert pace.wait() is None
    pace.rest("a")
    assert pace.wait() is None  # too long to wait for: the minute's scans come by


# Rest, and what is remembered


def test_a_domain_that_gets_too_much_rests_and_no_other(clock: FrozenClock) -> None:
    pace = Pace(clock, 10, None, None)
    pace.rest("a")
    assert pace.closed() == ["a"]
    assert pace.start("a") is None
    assert pace.start("b") is not None
    clock.jump(timedelta(hours=3))
    assert pace.start("a") is None
    clock.advance(timedelta(minutes=5))
    assert pace.closed() == []
    assert pace.start("a") is not None


def test_what_it_remembers_is_bounded(clock: FrozenClock) -> None:
    pace = Pace(clock, 10, None, 60)
    for number in range(25_000):
        domain = f"d{number}"
        _finish(pace, domain, _started(pace, domain, 1))
        clock.advance(SECOND / 100)
    assert len(pace._quick) <= pace_module._REMEMBERED
    assert len(pace._meters) <= pace_module._REMEMBERED + 1
    assert pace._flying == {}
