"""Group commit, with a writer that a test lets go on when it likes."""

import asyncio
from collections.abc import Sequence

import pytest
from tortoise.exceptions import OperationalError

from app.delivery.completer import BatchWriter, NotRecorded

pytestmark = pytest.mark.anyio


class Writer:
    """Keeps the groups it was given, and writes each once `go_on` is set; raises for what is in `bad`."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.unknown: set[int] = set()
        self.bad: dict[int, Exception] = {}

    async def __call__(self, items: Sequence[int]) -> set[int]:
        self.groups.append(list(items))
        self.begun.set()
        await self.go_on.wait()
        for item in items:
            if item in self.bad:
                raise self.bad[item]
        return set(items) - self.unknown


@pytest.fixture
def writer() -> Writer:
    return Writer()


def group_of(writer: Writer, limit: int = 500) -> BatchWriter[int]:
    return BatchWriter(writer, key=lambda item: item, limit=limit)


async def _added(group: BatchWriter[int], writer: Writer, count: int) -> list[asyncio.Future[bool]]:
    """Add 0 while nothing is written, and the others while it is."""
    adders = [asyncio.ensure_future(group.add(0))]
    await writer.begun.wait()
    adders += [asyncio.ensure_future(group.add(item)) for item in range(1, count)]
    await asyncio.sleep(0)
    return adders


async def test_items_added_while_a_statement_runs_are_written_by_the_next_in_order(writer: Writer) -> None:
    adders = await _added(group_of(writer), writer, 5)
    writer.go_on.set()
    assert await asyncio.gather(*adders) == [True] * 5
    assert writer.groups == [[0], [1, 2, 3, 4]]


async def test_a_group_has_its_limit(writer: Writer) -> None:
    adders = await _added(group_of(writer, limit=2), writer, 6)
    writer.go_on.set()
    await asyncio.gather(*adders)
    assert writer.groups == [[0], [1, 2], [3, 4], [5]]


async def test_each_future_says_whether_its_item_was_written(writer: Writer) -> None:
    writer.unknown = {2}
    adders = await _added(group_of(writer), writer, 4)
    writer.go_on.set()
    assert await asyncio.gather(*adders) == [True, True, False, True]


async def test_every_waiting_future_fails_when_the_database_is_unavailable(writer: Writer) -> None:
    writer.bad = {2: OperationalError("away")}
    adders = await _added(group_of(writer), writer, 4)
    writer.go_on.set()
    first, *others = await asyncio.gather(*adders, return_exceptions=True)
    assert first is True
    assert [type(error) for error in others] == [NotRecorded] * 3
    assert writer.groups == [[0], [1, 2, 3]]


async def test_one_that_does_not_fit_does_not_keep_the_others_from_being_written(writer: Writer) -> None:
    writer.bad = {2: ValueError("does not fit")}
    adders = await _added(group_of(writer), writer, 4)
    writer.go_on.set()
    results = await asyncio.gather(*adders, return_exceptions=True)
    assert [each if isinstance(each, bool) else type(each) for each in results] == [True, True, NotRecorded, True]


async def test_a_cancelled_item_is_written_all_the_same(writer: Writer) -> None:
    group = group_of(writer)
    adders = await _added(group, writer, 4)
    adders[0].cancel()
    adders[2].cancel()
    await asyncio.sleep(0)
    writer.go_on.set()
    await group.drained()
    assert writer.groups == [[0], [1, 2, 3]]
    assert adders[0].cancelled()
    assert (await adders[1], await adders[3]) == (True, True)


async def test_it_starts_again_after_it_has_run_dry(writer: Writer) -> None:
    writer.go_on.set()
    group = group_of(writer)
    assert await group.add(1)
    await group.drained()
    assert await group.add(2)
    assert writer.groups == [[1], [2]]


async def test_after_a_statement_it_pauses_to_gather_more_and_draining_skips_the_pause(writer: Writer) -> None:
    writer.go_on.set()
    group = BatchWriter(writer, key=lambda item: item, limit=500, pause=3600)
    assert await group.add(1)
    group.put(2)
    await asyncio.sleep(0)
    group.put(3)
    assert writer.groups == [[1]]
    await group.drained()
    assert writer.groups == [[1], [2, 3]]
