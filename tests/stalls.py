"""How long the event loop is blocked, in CPU time of its thread: other programs on the machine do not count."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

STALL_LIMIT = 0.1  # seconds (docs/standards.md P16)
_TRIES = 3
_NO_RETRY = 1.0  # seconds; no collection of garbage takes as long


async def longest_stall(act: Callable[[], Awaitable[object]]) -> float:
    """Return the longest time between two iterations of the loop while `act` runs.

    The least of some tries where the first is over the limit: a full garbage collection of the test process
    is no input's doing.
    """
    stalls: list[float] = []
    while len(stalls) < _TRIES and (not stalls or STALL_LIMIT < stalls[-1] < _NO_RETRY):
        stalls.append(await _longest_stall(act))
    return min(stalls)


async def _longest_stall(act: Callable[[], Awaitable[object]]) -> float:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        await act()
        await asyncio.sleep(0)  # the last iteration counts too
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
    return longest
