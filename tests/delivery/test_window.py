"""How many messages are let past their final dot, on servers that a test makes as slow as it likes."""

import asyncio
from datetime import timedelta

import pytest

from app.delivery import window as module
from app.delivery.window import Place, Window
from tests.clock import FrozenClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def window(clock: FrozenClock) -> Window:
    return Window(10, clock)


async def _full(window: Window) -> list[Place]:
    """Enter as often as there is room."""
    return [await window.enter() for _ in range(int(window.size))]


async def _rounds(window: Window, clock: FrozenClock, number: int, one: float, each: float) -> list[int]:
    """Let the server answer all who are inside: after `one` second, and `each` more for everybody before."""
    sizes = []
    for _ in range(number):
        places = await _full(window)
        sizes.append(len(places))
        clock.advance(timedelta(seconds=one))
        for place in places:
            window.answered(place)
            clock.advance(timedelta(seconds=each))
    return sizes


async def test_a_server_that_takes_one_at_a_time_gets_two_at_most(window: Window, clock: FrozenClock) -> None:
    sizes = await _rounds(window, clock, 60, one=0.001, each=0.001)
    assert set(sizes[5:]) <= {1, 2}


async def test_where_answers_come_from_far_away_all_connections_are_used(window: Window, clock: FrozenClock) -> None:
    sizes = await _rounds(window, clock, 40, one=0.020, each=0.0001)
    assert sizes[0] == 1
    assert set(sizes[20:]) == {10}


async def test_a_server_that_got_slower_is_believed(window: Window, clock: FrozenClock) -> None:
    await _rounds(window, clock, 20, one=0.020, each=0)
    await _rounds(window, clock, 200, one=0.080, each=0)
    assert (await _rounds(window, clock, 200, one=0.080, each=0))[-1] == 10


async def test_who_leaves_without_an_answer_makes_room(window: Window) -> None:
    (place,) = await _full(window)
    entering = asyncio.create_task(window.enter())
    await asyncio.sleep(0)
    assert not entering.done()
    window.leave(place)
    await entering


async def test_who_is_called_back_while_it_waits_or_as_its_turn_comes_leaves_its_place(window: Window) -> None:
    (place,) = await _full(window)
    waiting, next_, last = [asyncio.create_task(window.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    window.leave(place)  # its turn: next_ is called back in the same moment
    next_.cancel()
    await last
    assert next_.cancelled()


async def test_a_message_that_is_stuck_holds_up_the_others_no_longer_than_a_moment(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STUCK", 0.01)
    (stuck,) = await _full(window)
    async with asyncio.timeout(10):
        other = await window.enter()
    window.leave(stuck)  # at last; its place was taken out of the count
    waiting = asyncio.create_task(window.enter())
    await asyncio.sleep(0)
    assert not waiting.done()
    window.leave(other)
    await waiting
