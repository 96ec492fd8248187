"""The scheduler's scans on record: every process shows when the last one was, and what came of it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from app.clock import Clock
from app.delivery.loop_errors import LoopErrors
from app.store.job_runs import SCAN, job_began, job_ended, job_goes_on
from app.store.tallies import fold


class Rounds:
    """Starts a scan each time it is asked, writes down how it went, and keeps the counts few."""

    def __init__(
        self, scan: Callable[[], "asyncio.Task[int]"], interval: timedelta, clock: Clock, worker_name: str
    ) -> None:
        """Take what starts a scan, or returns the one that runs already and looks again."""
        self._scan = scan
        self._interval = interval
        self._clock = clock
        self._worker_name = worker_name
        self._scanning: asyncio.Task[int] | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._in_turn = asyncio.Lock()
        self._errors = LoopErrors("scan record")
        self._count_errors = LoopErrors("counts")

    def start(self) -> None:
        scanning = self._scan()
        writing = asyncio.create_task(self._write(scanning, begins=scanning is not self._scanning))
        self._scanning = scanning
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def ended(self) -> None:
        """Wait until all is written down; the scan itself has to be stopped before."""
        if self._writing:
            await asyncio.wait(self._writing)

    async def _write(self, scanning: "asyncio.Task[int]", *, begins: bool) -> None:
        with self._errors:
            await (self._follow(scanning) if begins else self._go_on())

    async def _follow(self, scanning: "asyncio.Task[int]") -> None:
        since, now = self._clock.monotonic(), self._clock.now()
        async with self._in_turn:
            await job_began(SCAN, self._worker_name, now, now + self._interval)
            with self._count_errors:
                await fold(now)
        await asyncio.wait([scanning])
        took = timedelta(seconds=self._clock.monotonic() - since)
        async with self._in_turn:
            await job_ended(SCAN, self._clock.now(), took, 0 if scanning.cancelled() else scanning.result())

    async def _go_on(self) -> None:
        """Show that the scheduler lives, although the scan that runs is an older one."""
        now = self._clock.now()
        async with self._in_turn:
            await job_goes_on(SCAN, now + self._interval)
            with self._count_errors:
                await fold(now)
