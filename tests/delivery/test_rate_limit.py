"""Rates, and how many letters of one domain are in flight at once."""

from collections import Counter
from datetime import timedelta
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from app.delivery import rate_limit as rate_limit_module
from app.delivery.rate_limit import RateLimiter, TokenBucket
from tests.clock import FrozenClock

SECOND = timedelta(seconds=1)


def _started(rate_limiter: RateLimiter, domain: str, wanted: int = 100) -> list[float]:
    """Start as many letters of a domain as may be, up to `wanted`."""
    started: list[float] = []
    while len(started) < wanted and (since := rate_limiter.start(domain)) is not None:
        started.append(since)
    return started


def _finish(rate_limiter: RateLimiter, domain: str, started: list[float]) -> None:
    for since in started:
        rate_limiter.finish(domain, since)


# How many at once


def test_an_unknown_domain_takes_a_quarter(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 20, None, None)
    assert len(_started(rate_limiter, "new")) == 5
    assert rate_limiter.closed_domains() == ["new"]
    assert len(_started(rate_limiter, "another")) == 5


def test_a_fast_domain_takes_all_but_a_fifth(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 20, None, None)
    _finish(rate_limiter, "fast", _started(rate_limiter, "fast", 1))
    assert len(_started(rate_limiter, "fast", 20)) == 16
    assert rate_limiter.closed_domains() == []
    assert rate_limiter.start("another") is not None


def test_a_domain_whose_letters_take_long_is_never_fast(clock: FrozenClock) -> None:
    """Letters that began together end together: the second ends no time after the first, and is slow all the same."""
    rate_limiter = RateLimiter(clock, 20, None, None)
    for _ in range(5):
        started = _started(rate_limiter, "slow")
        assert len(started) == 5
        clock.advance(10 * SECOND)
        _finish(rate_limiter, "slow", started)


def test_a_fast_domain_that_falls_silent_gets_no_more(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 20, None, None)
    _finish(rate_limiter, "fast", _started(rate_limiter, "fast", 1))
    _started(rate_limiter, "fast", 8)
    clock.advance(3 * SECOND)
    assert rate_limiter.closed_domains() == ["fast"]
    assert rate_limiter.start("fast") is None


def test_one_connection_is_enough(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 1, None, None)
    assert len(_started(rate_limiter, "new")) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(2.1, 30)), max_size=60))
def test_slow_domains_never_have_more_than_a_quarter(steps: list[tuple[str, float]]) -> None:
    clock = FrozenClock()
    rate_limiter = RateLimiter(clock, 20, None, None)
    in_flight: list[tuple[str, float]] = []
    for domain, seconds in steps:
        in_flight += [(domain, since) for since in _started(rate_limiter, domain, 3)]
        assert max(Counter(name for name, _ in in_flight).values()) <= 5
        clock.advance(timedelta(seconds=seconds))
        rate_limiter.finish(*in_flight.pop(0))


# How fast


@given(st.integers(1, 6000), st.lists(st.floats(0, 90), min_size=1, max_size=50))
def test_a_bucket_keeps_its_rate_in_every_minute(per_minute: int, pauses: list[float]) -> None:
    now = 1000.0
    bucket = TokenBucket(per_minute, now)
    taken: list[float] = []
    for pause in pauses:
        now += pause
        while bucket.left(now):
            bucket.take(now)
            taken.append(now)
    at_once = max(1, per_minute // 60)
    for index, start in enumerate(taken):
        assert sum(1 for moment in taken[index:] if moment < start + 60) <= per_minute + at_once


@given(st.integers(1, 6000))
def test_a_bucket_opens_when_it_says(per_minute: int) -> None:
    bucket = TokenBucket(per_minute, 1000.0)
    while bucket.left(1000.0):
        bucket.take(1000.0)
    opens = bucket.opens_in(1000.0)
    assert 0 < opens <= 60 / per_minute + 1e-6
    assert bucket.left(1000.0 + opens / 2) == 0
    assert bucket.left(1000.0 + opens) == 1


def test_a_bucket_that_waits_its_turn_reaches_its_rate(clock: FrozenClock) -> None:
    bucket, letters = TokenBucket(60, clock.monotonic()), 0
    for _ in range(600):
        clock.advance(SECOND / 10)
        while bucket.left(clock.monotonic()):
            bucket.take(clock.monotonic())
            letters += 1
    assert letters in (60, 61)


def test_the_rate_over_all_bounds_what_may_be_sent_now_and_within_seconds(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 10, 120, None)
    assert (rate_limiter.available_within(100), rate_limiter.available_within(1)) == (12, 1)
    _started(rate_limiter, "a", 1)
    _started(rate_limiter, "b", 1)
    assert (rate_limiter.is_open(), rate_limiter.available_within(100), rate_limiter.wait()) == (False, 10, 0.5)
    clock.advance(SECOND / 2)
    assert (rate_limiter.is_open(), rate_limiter.available_within(100)) == (True, 11)


def test_a_rate_per_domain_closes_that_domain_alone(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 10, None, 60)
    assert len(_started(rate_limiter, "a")) == 1
    assert (rate_limiter.closed_domains(), rate_limiter.wait()) == (["a"], 1.0)
    assert len(_started(rate_limiter, "b")) == 1
    clock.advance(SECOND)
    assert rate_limiter.closed_domains() == []


def test_how_long_to_wait(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 8, None, None)
    assert rate_limiter.wait() is None
    started = _started(rate_limiter, "a")
    assert rate_limiter.wait() == inf  # until one has ended
    _finish(rate_limiter, "a", started)
    assert rate_limiter.wait() is None
    rate_limiter.pause("a")
    assert rate_limiter.wait() is None  # too long to wait for: the next scan checks again


# Pauses, and what is remembered


def test_a_domain_that_gets_too_much_is_paused_and_no_other(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 10, None, None)
    rate_limiter.pause("a")
    assert rate_limiter.closed_domains() == ["a"]
    assert rate_limiter.start("a") is None
    assert rate_limiter.start("b") is not None
    clock.jump(timedelta(hours=3))
    assert rate_limiter.start("a") is None
    clock.advance(timedelta(minutes=5))
    assert rate_limiter.closed_domains() == []
    assert rate_limiter.start("a") is not None


def test_what_it_remembers_is_bounded(clock: FrozenClock) -> None:
    rate_limiter = RateLimiter(clock, 10, None, 60)
    for number in range(25_000):
        domain = f"d{number}"
        _finish(rate_limiter, domain, _started(rate_limiter, domain, 1))
        clock.advance(SECOND / 100)
    assert len(rate_limiter._fast) <= rate_limit_module._REMEMBERED
    assert len(rate_limiter._buckets) <= rate_limit_module._REMEMBERED + 1
    assert rate_limiter._in_flight == {}
