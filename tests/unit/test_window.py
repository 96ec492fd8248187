"""How many letters are let past their final dot, on servers that a test makes as slow as it likes."""

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest

from app.mail import window as module
from app.mail.window import Place, Window
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio

Server = Callable[[float], float]
"""From when a letter comes to how many seconds later it is answered."""


@pytest.fixture
def window(clock: FrozenClock) -> Window:
    return Window(10, clock)


def _one_at_a_time(seconds: float) -> Server:
    free_at = 0.0

    def server(now: float) -> float:
        nonlocal free_at
        free_at = max(now, free_at) + seconds
        return free_at - now

    return server


def _far_away(seconds: float, spread: float = 0.0) -> Server:
    chance = random.Random(7)
    return lambda _now: seconds * chance.lognormvariate(0, spread)


def _send(window: Window, clock: FrozenClock, server: Server, letters: int) -> Counter[tuple[bool, int]]:
    """Send letters as fast as ten connections may; return how many were answered at each level."""
    answers: list[tuple[float, int, list[Place]]] = []
    levels: Counter[tuple[bool, int]] = Counter()
    begun, numbers = 0, count()

    def dot(places: list[Place]) -> None:
        now = clock.monotonic()
        heapq.heappush(answers, (now + server(now), next(numbers), places))

    def begin() -> None:
        nonlocal begun
        begun += 1
        places: list[Place] = []
        places.append(window.enter(lambda: dot(places)))
        if places[0].inside:
            dot(places)

    for _ in range(10):
        begin()
    while answers:
        when, _, (place,) = heapq.heappop(answers)
        clock.advance(timedelta(seconds=when - clock.monotonic()))
        levels[window.whole_letters, window.size] += 1
        window.answered(place)
        if begun < letters:
            begin()
    return levels


async def test_a_server_that_takes_one_at_a_time_gets_one_letter_at_a_time(window: Window, clock: FrozenClock) -> None:
    levels = _send(window, clock, _one_at_a_time(0.003), 3000)
    assert levels[True, 1] > 2700
    assert max(size for _, size in levels) == 2


@pytest.mark.parametrize("spread", [0.0, 0.4, 0.8])
async def test_where_answers_come_from_far_away_all_connections_are_used(
    spread: float, window: Window, clock: FrozenClock
) -> None:
    levels = _send(window, clock, _far_away(0.3, spread), 2000)
    assert levels[False, 10] > 1500


async def test_a_server_quicker_than_we_are_gets_the_next_letters_while_it_takes_one(
    window: Window, clock: FrozenClock
) -> None:
    levels = _send(window, clock, _one_at_a_time(0.001), 2000)
    assert levels[False, 2] > 1300


async def test_a_server_that_changes_is_believed(window: Window, clock: FrozenClock) -> None:
    _send(window, clock, _far_away(0.02), 500)
    levels = _send(window, clock, _one_at_a_time(0.2), 3000)
    assert levels[True, 1] > 2000
    levels = _send(window, clock, _far_away(0.02), 8000)
    assert levels[False, 10] > 4000


async def test_letters_that_come_one_by_one_teach_nothing(window: Window, clock: FrozenClock) -> None:
    for _ in range(100):
        place = window.enter(_at_once)
        clock.advance(timedelta(seconds=0.3))
        window.answered(place)
        clock.advance(timedelta(seconds=30))
        assert window.size == 1


async def test_whoever_leaves_lets_the_next_in_and_nobody_who_has_gone(window: Window) -> None:
    let_in: list[str] = []
    place = window.enter(_at_once)
    gone = window.enter(_at_once)
    second = window.enter(lambda: let_in.append("second"))
    third = window.enter(lambda: let_in.append("third"))
    assert [each.inside for each in (place, gone, second, third)] == [True, False, False, False]
    window.leave(gone)
    window.leave(place)
    assert let_in == ["second"]
    window.answered(second)
    assert let_in == ["second", "third"]
    assert third.inside


async def test_a_message_that_is_stuck_holds_up_the_others_no_longer_than_a_moment(
    window: Window, monkeypatch: pytest.MonkeyPatch
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
    assert not waiting.inside
    window.leave(other)
    assert let_in.is_set()


def _at_once() -> None:
    raise AssertionError("it was inside from the start")
