"""Work that is done once a day: by whoever leads, and late rather than never."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, tzinfo

import structlog

from app.clock import Clock
from app.delivery.loop_errors import LoopErrors
from app.delivery.notify import Channel, Notification, NotifyError
from app.domain.status import AttemptResult, Status
from app.store.accounts import drop_ended_sessions
from app.store.bulk_actions import drop_ended
from app.store.counters import ATTEMPTS, WAITING, count_all, count_spans
from app.store.job_runs import job_ended, take_turn
from app.store.quotas import drop_quota_counts
from app.store.retention import cancel_hopeless, drop_attempts, purge
from app.store.vacuum import vacuum_if_worth_it
from app.templating import long_day

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
            except NotifyError as error:
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


class Cleanup:
    """Forgets what was kept for `keep` after its last delivery."""

    def __init__(self, keep: timedelta) -> None:
        self._keep = keep

    async def __call__(self, now: datetime) -> AsyncIterator[int]:
        """Yield after each batch how many rows it forgot. What a batch was is in the log only as a number."""
        async for cancelled in cancel_hopeless(now, self._keep):
            yield cancelled
        async for purged in purge(now, self._keep):
            yield purged
        async for dropped in drop_attempts(now, self._keep):
            yield dropped
        yield await drop_quota_counts(now)
        yield await drop_ended_sessions(now)
        yield await drop_ended(now, self._keep)
        await vacuum_if_worth_it()


REPORT_HOUR = 9
_WEEK = timedelta(days=7)
_ENDS = (Status.SENT.value, Status.FAILED.value, *ATTEMPTS)


class DailyReport:
    """Tells what went out yesterday and what is coming, once there has been anything at all."""

    def __init__(self, channel: Channel, zone: tzinfo, language: str) -> None:
        self._channel = channel
        self._zone = zone
        self._language = language

    async def __call__(self, now: datetime) -> AsyncIterator[int]:
        """Raises NotTold."""
        stand = Counter[str]()
        for count in await count_all():
            stand[count.kind] += count.number
        if not any(stand.values()):
            return
        today, _ = times_of_day(now, 0, self._zone)
        yesterday, _ = times_of_day(today - timedelta(seconds=1), 0, self._zone)
        day = await _sums(_ENDS, yesterday, today)
        ahead = await _sums((WAITING,), now, now + _WEEK)
        overdue = await _sums((WAITING,), now - timedelta(days=40), now)
        tries = (
            day[AttemptResult.ACCEPTED]
            + day[AttemptResult.TRANSIENT]
            + day[AttemptResult.PERMANENT]
            + day[AttemptResult.UNANSWERED]
        )
        values = {
            "day": long_day(yesterday, self._zone, self._language),
            "sent": day[Status.SENT],
            "failed": day[Status.FAILED],
            "deferred": day[AttemptResult.TRANSIENT],
            "unanswered": day[AttemptResult.UNANSWERED],
            "success": f"{100 * day[AttemptResult.ACCEPTED] / tries:.1f} %" if tries else "–",
            "ahead": ahead[WAITING],
            "due": overdue[WAITING],
            "held": stand[Status.HELD],
            "uncertain": stand[Status.UNCERTAIN],
        }
        await self._channel.notify(Notification("report", values, "", {}), now)
        yield 1


async def _sums(kinds: tuple[str, ...], since: datetime, until: datetime) -> Counter[str]:
    sums = Counter[str]()
    for count in await count_spans(kinds, [(since, until)]):
        sums[count.kind] += count.number
    return sums
