"""How long the breaker stays open, and the probe after it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.breaker import Breaker
from tests.clock import FrozenClock


def _pauses(jitter: float, outages: int) -> list[float]:
    clock = FrozenClock()
    breaker = Breaker(clock, lambda: jitter)
    pauses = []
    for _ in range(outages):
        assert breaker.allowed(10) > 0
        breaker.trip("down")
        began = clock.monotonic()
        while breaker.is_open:
            clock.advance(timedelta(seconds=0.5))
        pauses.append(clock.monotonic() - began)
    return pauses


def test_without_trouble_every_slot_is_allowed(clock: FrozenClock) -> None:
    breaker = Breaker(clock, lambda: 0.5)
    assert (breaker.allowed(10), breaker.is_open, breaker.reset()) == (10, False, False)


def test_an_outage_opens_it_once_however_many_are_in_flight(clock: FrozenClock) -> None:
    breaker = Breaker(clock, lambda: 0.5)
    assert [breaker.trip(f"down {n}") for n in range(5)] == [True, False, False, False, False]
    assert (breaker.allowed(10), breaker.is_open, breaker.trouble) == (0, True, "down 0")
    clock.advance(timedelta(seconds=10))
    assert not breaker.is_open  # the five counted as one: the pause was the first one


def test_the_pause_doubles_up_to_five_minutes() -> None:
    assert _pauses(0.5, 8) == [10, 20, 40, 80, 160, 300, 300, 300]


@given(st.floats(0, 1, exclude_max=True))
def test_the_pause_is_never_far_from_its_middle(jitter: float) -> None:
    for pause, middle in zip(_pauses(jitter, 4), [10, 20, 40, 80], strict=True):
        assert 0.75 * middle <= pause <= 1.25 * middle + 0.5


def test_the_pauses_of_many_hosts_differ() -> None:
    assert _pauses(0.0, 1) != _pauses(0.9, 1)


def test_one_tries_first_and_the_others_wait_for_what_it_finds(clock: FrozenClock) -> None:
    breaker = Breaker(clock, lambda: 0.5)
    breaker.trip("down")
    clock.advance(timedelta(seconds=11))
    assert (breaker.allowed(10), breaker.allowed(0)) == (1, 0)
    with breaker.attempt():
        assert breaker.allowed(10) == 0
        assert breaker.reset()
    assert breaker.allowed(10) == 10


def test_a_probe_that_finds_nothing_out_lets_the_next_one_try(clock: FrozenClock) -> None:
    breaker = Breaker(clock, lambda: 0.5)
    breaker.trip("down")
    clock.advance(timedelta(seconds=11))
    with pytest.raises(RuntimeError), breaker.attempt():
        raise RuntimeError("the claim was lost")
    assert breaker.allowed(10) == 1


def test_a_straggler_from_before_the_outage_does_not_end_the_probe(clock: FrozenClock) -> None:
    breaker = Breaker(clock, lambda: 0.5)
    with breaker.attempt():
        breaker.trip("down")
        clock.advance(timedelta(seconds=11))
        probe = breaker.attempt()
        probe.__enter__()
    assert breaker.allowed(10) == 0
    probe.__exit__(None, None, None)
    assert breaker.allowed(10) == 1


def test_a_sign_of_life_forgets_the_pauses(clock: FrozenClock) -> None:
    breaker = Breaker(clock, lambda: 0.5)
    for _ in range(4):
        breaker.trip("down")
        clock.advance(timedelta(minutes=6))
    breaker.reset()
    breaker.trip("down again")
    clock.advance(timedelta(seconds=10))
    assert not breaker.is_open


def test_a_wall_clock_that_jumps_changes_nothing(clock: FrozenClock) -> None:
    breaker = Breaker(clock, lambda: 0.5)
    breaker.trip("down")
    clock.jump(timedelta(hours=5))
    assert breaker.is_open
    clock.jump(timedelta(hours=-10))
    clock.advance(timedelta(seconds=10))
    assert not breaker.is_open
