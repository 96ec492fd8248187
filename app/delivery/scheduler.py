"""APScheduler's AsyncIOScheduler with its jobs: the scan, and daily work."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from app.clock import Clock
from app.delivery.daily import Daily
from app.delivery.loop_errors import LoopErrors
from app.store.counters import compact
from app.store.job_runs import SCAN, record_job_end, record_job_start, record_next_run

log = structlog.get_logger()
_JOB = "scan"
_ONE_AT_A_TIME = {
    "max_instances": 1,
    "coalesce": True,
    "misfire_grace_time": None,  # APScheduler's default of 1 s silently drops later runs
}


class _Every(IntervalTrigger):  # type: ignore[misc]
    """Counts from now: APScheduler's own iterates over all missed runs, and a clock may be set years ahead."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # noqa: ARG002
        following: datetime = now + self.interval
        return following


class Background(Protocol):
    """Work that a job only starts: a job that ran for minutes would miss its next turn."""

    def start(self) -> None: ...

    async def ended(self) -> None: ...


class Scheduler:
    """Scans when it starts and every interval from then on, and starts daily work every hour. For the leader alone."""

    def __init__(
        self,
        scan_recorder: Background,
        interval: timedelta,
        clock: Clock,
        worker_name: str,
        dailies: Sequence[Daily] = (),
        zone: tzinfo = UTC,
    ) -> None:
        self._scan_recorder = scan_recorder
        self._interval = interval
        self._clock = clock
        self._worker_name = worker_name
        self._dailies = dailies
        self._zone = zone
        self._scheduler: AsyncIOScheduler | None = None
        self._ran_at = 0.0

    @property
    def running(self) -> bool:
        return self._scheduler is not None

    def start(self) -> None:
        scheduler = AsyncIOScheduler(timezone="UTC")
        scheduler.add_job(
            self._run,
            _Every(seconds=self._interval.total_seconds(), timezone="UTC"),
            id=_JOB,
            next_run_time=self._clock.now(),
            **_ONE_AT_A_TIME,
        )
        # At the start too, and every hour: a machine that is off at night does it in the morning.
        every_hour = CronTrigger(minute=0, timezone=self._zone)
        scheduler.add_job(self._run_dailies, every_hour, id="daily", next_run_time=self._clock.now(), **_ONE_AT_A_TIME)
        self._ran_at = self._clock.monotonic()
        scheduler.start()
        self._scheduler = scheduler
        log.info("scheduler started", worker=self._worker_name)

    def stop(self) -> None:
        """Start no more scans. A running one goes on: see Dispatcher.start."""
        if self._scheduler:
            scheduler, self._scheduler = self._scheduler, None
            for daily in self._dailies:
                daily.stop()
            scheduler.shutdown(wait=False)
            log.info("scheduler stopped", worker=self._worker_name)

    async def ended(self) -> None:
        """Wait for background work after `stop`, except the scan."""
        await self._scan_recorder.ended()
        for daily in self._dailies:
            await daily.ended()

    def scan_now(self) -> None:
        if self._scheduler:
            self._scheduler.modify_job(_JOB, next_run_time=self._clock.now())

    def rearm(self) -> None:
        """Scan if the last start is too long ago on the monotonic clock.

        APScheduler waits by the wall clock: set back an hour, it would not scan for an hour.
        """
        if self._scheduler and self._clock.monotonic() - self._ran_at > 2 * self._interval.total_seconds():
            self._ran_at = self._clock.monotonic()
            self.scan_now()

    async def _run(self) -> None:
        self._ran_at = self._clock.monotonic()
        self._scan_recorder.start()

    async def _run_dailies(self) -> None:
        for daily in self._dailies:
            daily.start(self._worker_name)


class ScanRecorder:
    """Starts scans, records each in the database, and compacts the counters."""

    def __init__(
        self, scan: Callable[[], "asyncio.Task[int]"], interval: timedelta, clock: Clock, worker_name: str
    ) -> None:
        """`scan` starts a scan, or returns the running one, which then checks again."""
        self._scan = scan
        self._interval = interval
        self._clock = clock
        self._worker_name = worker_name
        self._scanning: asyncio.Task[int] | None = None
        self._records: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._errors = LoopErrors("scan record")
        self._count_errors = LoopErrors("counts")

    def start(self) -> None:
        scanning = self._scan()
        record = asyncio.create_task(self._record(scanning, is_new=scanning is not self._scanning))
        self._scanning = scanning
        self._records.add(record)
        record.add_done_callback(self._records.discard)

    async def ended(self) -> None:
        """Wait until everything is recorded; the scan itself must have been stopped before."""
        if self._records:
            await asyncio.wait(self._records)

    async def _record(self, scanning: "asyncio.Task[int]", *, is_new: bool) -> None:
        """Record a new scan until it ends; for a running one only that the scheduler still runs."""
        with self._errors:
            since, now = self._clock.monotonic(), self._clock.now()
            async with self._lock:
                if is_new:
                    await record_job_start(SCAN, self._worker_name, now, now + self._interval)
                else:
                    await record_next_run(SCAN, now + self._interval)
                with self._count_errors:
                    await compact(now)
            if not is_new:
                return
            await asyncio.wait([scanning])
            took = timedelta(seconds=self._clock.monotonic() - since)
            async with self._lock:
                await record_job_end(SCAN, self._clock.now(), took, 0 if scanning.cancelled() else scanning.result())
