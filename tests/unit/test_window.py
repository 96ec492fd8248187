"""The in-flight window on servers of several speeds."""

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
"""From the time of a letter to the seconds until its reply."""


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
    """Send letters as fast as ten connections can; return how many were answered at each size."""
    answers: list[tuple[float, int, list[Slot]]] = []
    sizes: Counter[int] = Counter()
    begun, numbers = 0, count()

    def dot(slots: list[Slot]) -> None:
        now = clock.monotonic()
        heapq.heappush(answers, (now + server(now), next(numbers), slots))

    def begin() -> None:
        nonlocal begun
        begun += 1
        slots: list[Slot] = []
        slots.append(window.enter(lambda: dot(slots)))
        if slots[0].entered:
            dot(slots)

    for _ in range(10):
        begin()
    while answers:
        when, _, (slot,) = heapq.heappop(answers)
        clock.advance(timedelta(seconds=when - clock.monotonic()))
        sizes[int(window.size)] += 1
        window.answered(slot)
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
async def test_with_slow_replies_all_connections_are_used(
    spread: float, window: InFlightWindow, clock: FrozenClock
) -> None:
    sizes = _send(window, clock, _side_by_side(_varying(0.3, spread)), 2000)
    assert sizes[10] > 1900


async def test_slow_first_replies_do_not_make_a_slow_server(window: InFlightWindow, clock: FrozenClock) -> None:
    sizes = _send(window, clock, _one_at_a_time(_first(10, 0.015, 0.005)), 500)
    assert sizes[1] + sizes[2] > 450


async def test_a_server_that_became_quick_is_measured_again(window: InFlightWindow, clock: FrozenClock) -> None:
    sizes = _send(window, clock, _one_at_a_time(_first(500, 0.020, 0.003)), 12_000)
    assert sizes[10] > 9000  # letters that wait for each other make it look slow
    assert sizes[1] + sizes[2] > 1900


async def test_a_server_nearby_that_takes_many_side_by_side_gets_them(
    window: InFlightWindow, clock: FrozenClock
) -> None:
    sizes = _send(window, clock, _side_by_side(repeat(0.003)), 2000)
    assert sizes[10] > 1900


async def test_the_base_time_follows_a_server_that_got_slower(window: InFlightWindow, clock: FrozenClock) -> None:
    sizes = _send(window, clock, _side_by_side(_first(500, 0.002, 0.008)), 1500)
    assert sizes[10] > 1100


async def test_the_next_slot_that_still_waits_enters_when_one_leaves(window: InFlightWindow) -> None:
    entered: list[str] = []
    slot = window.enter(_at_once)
    gone = window.enter(_at_once)
    second = window.enter(lambda: entered.append("second"))
    third = window.enter(lambda: entered.append("third"))
    assert [each.entered for each in (slot, gone, second, third)] == [True, False, False, False]
    window.leave(gone)
    window.leave(slot)
    assert entered == ["second"]
    window.answered(second)
    assert entered == ["second", "third"]
    assert third.entered


async def test_a_stuck_message_holds_up_the_others_only_briefly(
    window: InFlightWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STUCK", 0.01)
    stuck = window.enter(_at_once)
    entered = asyncio.Event()
    other = window.enter(entered.set)
    async with asyncio.timeout(60):
        await entered.wait()
    window.leave(stuck)  # it is not counted any more
    entered.clear()
    waiting = window.enter(entered.set)
    assert not waiting.entered
    window.leave(other)
    assert entered.is_set()


def _at_once() -> None:
    raise AssertionError("it had entered already")
