"""Guessing at passwords is slow, and nobody else is slowed by it."""

from datetime import timedelta

import pytest

from app.web.admin.login_throttle import FREE_TRIES, LONGEST_WAIT, STRANGERS_A_MINUTE, LoginThrottle
from app.web.clients import network
from tests.clock import FrozenClock

SECOND = timedelta(seconds=1)


def _try_freely(throttle: LoginThrottle, who: str) -> None:
    assert [throttle.wait(who) for _ in range(FREE_TRIES)] == [0] * FREE_TRIES


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


def test_days_of_guessing_are_answered_like_minutes(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    for _ in range(1100):
        assert throttle.wait("a") == 0
        clock.advance(LONGEST_WAIT * SECOND)
    assert [throttle.wait("a"), throttle.wait("a")] == [0, LONGEST_WAIT]


@pytest.mark.parametrize("network", ["192.0.2.{}", "2001:db8:{:x}:1::/64"])
def test_strangers_together_have_some_tries_a_minute_at_an_account(clock: FrozenClock, network: str) -> None:
    throttle = LoginThrottle(clock)
    waits = [throttle.wait_as_stranger(network.format(number), "admin") for number in range(STRANGERS_A_MINUTE + 1)]
    assert waits == [0] * STRANGERS_A_MINUTE + [60]
    assert throttle.wait_as_stranger(network.format(0), "admin") == 0  # not its first try
    assert throttle.wait_as_stranger("198.51.100.1", "other") == 0
    clock.advance(60 * SECOND)
    assert throttle.wait_as_stranger("198.51.100.2", "admin") == 0


def test_who_tried_before_does_not_keep_others_from_their_first_try(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    for number in range(20):  # guessers, each without a pause
        while not throttle.wait_as_stranger(f"192.0.2.{number}", "admin"):
            pass
    clock.advance(20 * SECOND)
    for number in range(20):
        throttle.wait_as_stranger(f"192.0.2.{number}", "admin")
    assert throttle.wait_as_stranger("192.0.2.0", "admin") > 0
    assert throttle.wait_as_stranger("198.51.100.1", "admin") == 0


def test_a_guesser_with_a_48_has_the_tries_of_sixteen(clock: FrozenClock) -> None:
    throttle = LoginThrottle(clock)
    for number in range(10_000):
        throttle.wait_as_stranger(f"2001:db8:1:{number:x}::/64", "admin")
    assert throttle.wait_as_stranger("2001:db8:2:1::/64", "admin") == 0
    clock.advance(timedelta(minutes=5))
    waits = [throttle.wait_as_stranger(f"2001:db8:1:{number:x}::/64", "other") for number in range(10_000)]
    assert waits.count(0) <= 16 * FREE_TRIES


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
