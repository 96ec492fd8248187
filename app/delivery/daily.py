"""Work that the leader does once a day: late rather than never."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import structlog

from app.clock import Clock
from app.delivery.loop_errors import LoopErrors
from app.delivery.notify import Channel, Notification, NotifyError
from app.domain.status import AttemptResult, Status
from app.store.accounts import drop_ended_sessions
from app.store.bulk_actions import drop_ended
from app.store.counters import ATTEMPTS, WAITING, count_all, count_spans
from app.store.job_runs import claim_job_run, record_job_end
from app.store.quotas import drop_quota_counts
from app.store.retention import cancel_expired_holds, drop_attempts, purge, vacuum_if_worth_it
from app.templating import long_day

log = structlog.get_logger()


class Daily:
    """Runs its work in the background at an hour of the day in a zone.

    `start` may be called often: the database knows when it ran last. So it runs at once after a night
    without a leader, and never twice where two workers lead at once. Interrupted work starts anew.
    """

    def __init__(
        self, name: str, hour: int, work: Callable[[datetime], AsyncIterator[int]], zone: tzinfo, clock: Clock
    ) -> None:
        """`work` yields after each part how many rows it changed; it may be stopped there."""
        self.name = name
        self._hour = hour
        self._work = work
        self._zone = zone
        self._clock = clock
        self._stopped = False
        self._errors = LoopErrors(name)
        self._background: asyncio.Task[None] | None = None

    def start(self, worker_name: str) -> None:
        """Run it if it has not run since its hour. As a job of APScheduler it would be cancelled in a transaction."""
        self._stopped = False
        if self._background is None or self._background.done():
            self._background = asyncio.create_task(self._run(worker_name))

    def stop(self) -> None:
        self._stopped = True

    async def ended(self) -> None:
        if self._background:
            await self._background

    async def _run(self, worker_name: str) -> None:
        now = self._clock.now()
        due, following = times_of_day(now, self._hour, self._zone)
        with self._errors:
            try:
                if await claim_job_run(self.name, worker_name, now, due, following):
                    await self._work_through(now)
            except NotifyError as error:
                log.warning("daily report failed, retrying", job=self.name, error=str(error))

    async def _work_through(self, now: datetime) -> None:
        since, number = self._clock.monotonic(), 0
        async for changed in self._work(now):
            number += changed
            if self._stopped:
                return
        took = timedelta(seconds=self._clock.monotonic() - since)
        await record_job_end(self.name, self._clock.now(), took, number)
        log.info("daily work done", job=self.name, number=number)


def times_of_day(now: datetime, hour: int, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the last and the next time that it is this hour in a zone; an hour skipped by DST counts as the next."""
    today = now.astimezone(zone).replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    moments = [(today + timedelta(days=number)).astimezone(UTC) for number in (-1, 0, 1)]
    last = max(moment for moment in moments if moment <= now)
    return last, min(moment for moment in moments if moment > now)


@dataclass(frozen=True, slots=True)
class Cleanup:
    """Deletes letters, attempts, quota counts, sessions and bulk actions past their time."""

    retention: timedelta

    async def __call__(self, now: datetime) -> AsyncIterator[int]:
        async for cancelled in cancel_expired_holds(now, self.retention):
            yield cancelled
        async for purged in purge(now, self.retention):
            yield purged
        async for dropped in drop_attempts(now, self.retention):
            yield dropped
        yield await drop_quota_counts(now)
        yield await drop_ended_sessions(now)
        yield await drop_ended(now, self.retention)
        await vacuum_if_worth_it()


REPORT_HOUR = 9
_WEEK = timedelta(days=7)
_ENDED = (Status.SENT.value, Status.FAILED.value, *ATTEMPTS)


@dataclass(frozen=True, slots=True)
class DailyReport:
    """Reports yesterday's deliveries and the coming ones to the operator; nothing while the ledger is empty."""

    channel: Channel
    zone: tzinfo
    language: str

    async def __call__(self, now: datetime) -> AsyncIterator[int]:
        """Raises NotifyError."""
        totals = Counter[str]()
        for count in await count_all():
            totals[count.kind] += count.number
        if not any(totals.values()):
            return
        today, _ = times_of_day(now, 0, self.zone)
        yesterday, _ = times_of_day(today - timedelta(seconds=1), 0, self.zone)
        day = await _sums(_ENDED, yesterday, today)
        ahead = await _sums((WAITING,), now, now + _WEEK)
        overdue = await _sums((WAITING,), now - timedelta(days=40), now)
        attempts = (
            day[AttemptResult.ACCEPTED]
            + day[AttemptResult.TRANSIENT]
            + day[AttemptResult.PERMANENT]
            + day[AttemptResult.UNANSWERED]
        )
        values = {
            "day": long_day(yesterday, self.zone, self.language),
            "sent": day[Status.SENT],
            "failed": day[Status.FAILED],
            "deferred": day[AttemptResult.TRANSIENT],
            "unanswered": day[AttemptResult.UNANSWERED],
            "success": f"{100 * day[AttemptResult.ACCEPTED] / attempts:.1f} %" if attempts else "–",
            "ahead": ahead[WAITING],
            "due": overdue[WAITING],
            "held": totals[Status.HELD],
            "uncertain": totals[Status.UNCERTAIN],
        }
        await self.channel.notify(Notification("report", values, "", {}), now)
        yield 1


async def _sums(kinds: tuple[str, ...], since: datetime, until: datetime) -> Counter[str]:
    sums = Counter[str]()
    for count in await count_spans(kinds, [(since, until)]):
        sums[count.kind] += count.number
    return sums
