"""Work that is done once a day: by whoever leads, and late rather than never."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, tzinfo

import structlog

from app.clock import Clock
from app.delivery.loop_errors import LoopErrors
from app.delivery.telling import NotTold
from app.store.job_runs import job_ended, take_turn

log = structlog.get_logger()


class Daily:
    """Does its work in the background at an hour of the day in a zone.

    `start` may be called as often as anybody likes: the database knows when it ran last, so it runs
    at once after a night in which nobody did, and never twice for two who lead at once. Work that was
    broken off is begun anew.
    """

    def __init__(
        self, name: str, hour: int, work: Callable[[datetime], AsyncIterator[int]], zone: tzinfo, clock: Clock
    ) -> None:
        """Take what does it, given the time; it yields after each part of which it may be stopped how much that was."""
        self.name = name
        self._hour = hour
        self._work = work
        self._zone = zone
        self._clock = clock
        self._stopped = False
        self._errors = LoopErrors(name)
        self._background: asyncio.Task[None] | None = None

    def start(self, worker_name: str) -> None:
        """Do it if it was not done since its hour; APScheduler's own background would be cut off in a transaction."""
        self._stopped = False
        if self._background is None or self._background.done():
            self._background = asyncio.create_task(self._run(worker_name))

    def stop(self) -> None:
        """Begin no other part of it; what is left is done by the next leader."""
        self._stopped = True

    async def ended(self) -> None:
        """Wait until the part that runs has ended."""
        if self._background:
            await self._background

    async def _run(self, worker_name: str) -> None:
        now = self._clock.now()
        due, following = times_of_day(now, self._hour, self._zone)
        with self._errors:
            try:
                if await take_turn(self.name, worker_name, now, due, following):
                    await self._work_through(now)
            except NotTold as error:
                log.warning(
                    "daily work could not be told to the operator; it is tried again", job=self.name, error=str(error)
                )

    async def _work_through(self, now: datetime) -> None:
        began, number = self._clock.monotonic(), 0
        async for done in self._work(now):
            number += done
            if self._stopped:
                return
        took = timedelta(seconds=self._clock.monotonic() - began)
        await job_ended(self.name, self._clock.now(), took, number)
        log.info("daily work done", job=self.name, number=number)


def times_of_day(now: datetime, hour: int, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return when it was last this hour in a zone, and when it is next; where it is left out, the one after."""
    today = now.astimezone(zone).replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    moments = [(today + timedelta(days=number)).astimezone(UTC) for number in (-1, 0, 1)]
    last = max(moment for moment in moments if moment <= now)
    return last, min(moment for moment in moments if moment > now)
