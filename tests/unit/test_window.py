"""How many messages are let past their final dot, on servers that a test makes as slow as it likes."""

import asyncio
from datetime import timedelta

import pytest

from app.mail import window as module
from app.mail.window import Place, Window
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def window(clock: FrozenClock) -> Window:
    return Window(10, clock)


def _at_once() -> None:
    raise AssertionError("it was inside from the start")


def _full(window: Window) -> list[Place]:
    """Enter as often as there is room."""
    places = [window.enter(_at_once) for _ in range(int(window.size))]
    assert all(place.inside for place in places)
    return places


def _rounds(window: Window, clock: FrozenClock, number: int, one: float, each: float) -> list[int]:
    """Let the server answer all who are inside: after `one` second, and `each` more for everybody before."""
    sizes = []
    for _ in range(number):
        places = _full(window)
        sizes.append(len(places))
        clock.advance(timedelta(seconds=one))
        for place in places:
            window.answered(place)
            clock.advance(timedelta(seconds=each))
    return sizes


async def test_a_server_that_takes_one_at_a_time_gets_two_at_most(window: Window, clock: FrozenClock) -> None:
    sizes = _rounds(window, clock, 60, one=0.001, each=0.001)
    assert set(sizes[5:]) <= {1, 2}


async def test_where_answers_come_from_far_away_all_connections_are_used(window: Window, clock: FrozenClock) -> None:
    sizes = _rounds(window, clock, 40, one=0.020, each=0.0001)
    assert sizes[0] == 1
    assert set(sizes[20:]) == {10}


async def test_a_server_that_got_slower_is_believed(window: Window, clock: FrozenClock) -> None:
    _rounds(window, clock, 20, one=0.020, each=0)
    _rounds(window, clock, 200, one=0.080, each=0)
    assert _rounds(window, clock, 200, one=0.080, each=0)[-1] == 10


async def test_whoever_leaves_lets_the_next_in_and_nobody_who_has_gone(window: Window) -> None:
    let_in: list[str] = []
    (place,) = _full(window)
    gone = window.enter(_at_once)
    second = window.enter(lambda: let_in.append("second"))
    third = window.enter(lambda: let_in.append("third"))
    assert [each.inside for each in (gone, second, third)] == [False] * 3
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
    (stuck,) = _full(window)
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
