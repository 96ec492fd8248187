"""How many letters are let past their final dot, on servers that a test makes as slow as it likes."""

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain, count, repeat

import pytest

from app.mail.smtp import window as module
from app.mail.smtp.window import InFlightWindow, Slot
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio

Server = Callable[[float], float]
"""From when a letter comes to how many seconds later it is answered."""


@pytest.fixture
def window(clock: FrozenClock) -> InFlightWindow:
    return InFlightWindow(10, clock)


def _one_at_a_time(seconds: Iterator[float]) -> Server:
    free_at = 0.0

    def server(now: float) -> float:
        nonlocal free_at
        free_at = max(now, free_at) + next(seconds)
        return free_at - now

    return server


def _side_by_side(seconds: Iterator[float]) -> Server:
    return lambda _now: next(seconds)


def _varying(median: float, spread: float) -> Iterator[float]:
    chance = random.Random(7)
    return (median * chance.lognormvariate(0, spread) for _ in count())


def _first(number: int, seconds: float, later: float) -> Iterator[float]:
    return chain(repeat(seconds, number), repeat(later))


def _send(window: InFlightWindow, clock: FrozenClock, server: Server, letters: int) -> Counter[int]:
    """Send letters as fast as ten connections may; return how many were answered at each size."""
    answers: list[tuple[float, int, list[Slot]]] = []
    sizes: Counter[int] = Counter()
    begun, numbers = 0, count()

    def dot(places: list[Slot]) -> None:
        now = clock.monotonic()
        heapq.heappush(answers, (now + server(now), next(numbers), places))

    def begin() -> None:
        nonlocal begun
        begun += 1
        places: list[Slot] = []
        places.append(window.enter(lambda: dot(places)))
        if places[0].entered:
            dot(places)

    for _ in range(10):
        begin()
    while answers:
        when, _, (place,) = heapq.heappop(answers)
        clock.advance(timedelta(seconds=when - clock.monotonic()))
        sizes[int(window.size)] += 1
        window.answered(place)
        if begun < letters:
            begin()
    return sizes


@pytest.mark.parametrize("spread", [0.0, 0.4])
async def test_a_server_that_takes_one_at_a_time_gets_two_at_most(
    spread: float, window: InFlightWindow, clock: FrozenClock
) -> None:
    sizes = _send(window, clock, _one_at_a_time(_varying(0.003, spread)), 2000)
    assert sizes[1] + sizes[2] > 1900


@pytest.mark.parametrize("spread", [0.0, 0.4, 0.8])
async def test_where_answers_come_from_far_away_all_connections_are_used(
    spread: float, window: InFlightWindow, clock: FrozenClock
) -> None:
    sizes = _send(window, clock, _side_by_side(_varying(0.3, spread)), 2000)
    assert sizes[10] > 1900


async def test_a_server_that_is_slow_to_begin_with_is_not_far_away(window: InFlightWindow, clock: FrozenClock) -> None:
    sizes = _send(window, clock, _one_at_a_time(_first(10, 0.015, 0.005)), 500)
    assert sizes[1] + sizes[2] > 450


async def test_a_server_that_became_quick_is_looked_at_anew(window: InFlightWindow, clock: FrozenClock) -> None:
    sizes = _send(window, clock, _one_at_a_time(_first(500, 0.020, 0.003)), 12_000)
    assert sizes[10] > 9000  # all who wait for each other make it look far away
    assert sizes[1] + sizes[2] > 1900


async def test_a_server_nearby_that_takes_many_side_by_side_gets_them(
    window: InFlightWindow, clock: FrozenClock
) -> None:
    sizes = _send(window, clock, _side_by_side(repeat(0.003)), 2000)
    assert sizes[10] > 1900


async def test_a_server_that_got_slower_is_believed(window: InFlightWindow, clock: FrozenClock) -> None:
    sizes = _send(window, clock, _side_by_side(_first(500, 0.002, 0.008)), 1500)
    assert sizes[10] > 1100


async def test_whoever_leaves_lets_the_next_in_and_nobody_who_has_gone(window: InFlightWindow) -> None:
    let_in: list[str] = []
    place = window.enter(_at_once)
    gone = window.enter(_at_once)
    second = window.enter(lambda: let_in.append("second"))
    third = window.enter(lambda: let_in.append("third"))
    assert [each.entered for each in (place, gone, second, third)] == [True, False, False, False]
    window.leave(gone)
    window.leave(place)
    assert let_in == ["second"]
    window.answered(second)
    assert let_in == ["second", "third"]
    assert third.entered


async def test_a_message_that_is_stuck_holds_up_the_others_no_longer_than_a_moment(
    window: InFlightWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STUCK", 0.01)
    stuck = window.enter(_at_once)
    let_in = asyncio.Event()
    other = window.enter(let_in.set)
    async with asyncio.timeout(60):
        await let_in.wait()
    window.leave(stuck)  # at last; its place was taken out of the count
    let_in.clear()
    waiting = window.enter(let_in.set)
    assert not waiting.entered
    window.leave(other)
    assert let_in.is_set()


def _at_once() -> None:
    raise AssertionError("it was inside from the start")
