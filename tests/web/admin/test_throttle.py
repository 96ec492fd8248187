"""Guessing at passwords is slow, and nobody else is slowed by it."""

from datetime import timedelta

import pytest

from app.web.throttle import FREE_TRIES, LONGEST_WAIT, LoginThrottle, network
from tests.clock import FrozenClock

SECOND = timedelta(seconds=1)


def _try_freely(throttle: LoginThrottle, *whom: str) -> None:
    assert [throttle.wait(*whom) for _ in range(FREE_TRIES)] == [0] * FREE_TRIES


def test_each_try_after_the_free_ones_waits_twice_as_long(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    _try_freely(throttle, "a")
    waits = []
    for _ in range(10):
        waits.append(throttle.wait("a"))
        clock.advance(waits[-1] * SECOND)
        assert throttle.wait("a") == 0
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, LONGEST_WAIT, LONGEST_WAIT]


def test_hammering_on_the_door_makes_the_wait_no_longer(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    _try_freely(throttle, "a")
    assert {throttle.wait("a") for _ in range(50)} == {2}


def test_whoever_shares_a_key_waits_and_nobody_else(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    _try_freely(throttle, "client 1", "account admin")
    assert throttle.wait("client 2", "account admin") == 2
    assert throttle.wait("client 1", "account other") == 2
    assert throttle.wait("client 2", "account other") == 0


def test_a_login_that_worked_and_half_an_hour_are_forgiving(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    _try_freely(throttle, "a")
    throttle.forget("a")
    _try_freely(throttle, "a")
    clock.advance(timedelta(minutes=31))
    _try_freely(throttle, "a")


def test_a_wall_clock_set_forward_opens_no_door(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    _try_freely(throttle, "a")
    clock.jump(timedelta(days=1))
    assert throttle.wait("a") == 2


def test_a_crowd_of_clients_does_not_fill_the_memory(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    for number in range(10_500):
        throttle.wait(f"client {number}")
    assert len(throttle._tallies) == 10_000


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "::ffff:c000:207"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_client_is_an_address_or_the_network_it_has_to_itself(host: str, client: str) -> None:
    assert network(host) == client
