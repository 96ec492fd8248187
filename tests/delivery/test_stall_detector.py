"""Workers whose heartbeat counter has not changed for a lease while we checked are stalled."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.heartbeat import StallDetector
from tests.clock import FrozenClock

LEASE = timedelta(seconds=30)
BEAT = timedelta(seconds=2)


class Watcher:
    """Checks every other second, as a worker does."""

    def __init__(self, clock: FrozenClock) -> None:
        self._clock = clock
        self._detector = StallDetector(LEASE)

    def check(self, beats: Mapping[UUID, int]) -> list[tuple[UUID, int]]:
        return self._detector.stalled(beats, self._clock.monotonic())

    def look_until_found(self, beats: Mapping[UUID, int]) -> float:
        began = self._clock.monotonic()
        while not self.check(beats):
            self._clock.advance(BEAT)
            assert self._clock.monotonic() - began < 100
        return self._clock.monotonic() - began


@pytest.fixture
def watcher(clock: FrozenClock) -> Watcher:
    return Watcher(clock)


def test_a_counter_that_stops_for_a_lease_is_a_stall(watcher: Watcher) -> None:
    worker = uuid4()
    assert watcher.look_until_found({worker: 7}) == 30
    assert watcher.check({worker: 7}) == [(worker, 7)]


def test_a_beat_that_moves_is_a_life(clock: FrozenClock, watcher: Watcher) -> None:
    alive, dead = uuid4(), uuid4()
    found = []
    for number in range(100):
        found += watcher.check({alive: number // 14, dead: 1})  # moves every 28 seconds
        clock.advance(BEAT)
    assert {worker for worker, _ in found} == {dead}


def test_after_a_gap_every_worker_gets_the_whole_lease_again(clock: FrozenClock, watcher: Watcher) -> None:
    worker = uuid4()
    for _ in range(14):
        assert watcher.check({worker: 1}) == []
        clock.advance(BEAT)
    clock.advance(timedelta(minutes=10))
    assert watcher.look_until_found({worker: 1}) == 30


def test_a_wall_clock_jump_is_no_stall(clock: FrozenClock, watcher: Watcher) -> None:
    worker = uuid4()
    watcher.check({worker: 1})
    clock.jump(timedelta(hours=12))
    assert watcher.check({worker: 1}) == []
    clock.jump(timedelta(hours=-24))
    assert watcher.look_until_found({worker: 1}) == 30


def test_a_worker_that_left_is_forgotten(clock: FrozenClock, watcher: Watcher) -> None:
    worker = uuid4()
    watcher.check({worker: 1})
    clock.advance(BEAT)
    watcher.check({})
    assert watcher.look_until_found({worker: 1}) == 30


@given(st.lists(st.floats(0.1, 14.9), max_size=60))
def test_a_heartbeat_within_the_lease_is_never_a_stall(pauses: list[float]) -> None:
    clock = FrozenClock()
    watcher = Watcher(clock)
    worker, beat, since = uuid4(), 0, 0.0
    for pause in pauses:
        assert watcher.check({worker: beat}) == []
        clock.advance(timedelta(seconds=pause))
        since += pause
        if since > 14:
            beat, since = beat + 1, 0.0
