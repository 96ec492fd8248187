"""Statistics of the ledger. The cost of each query grows with its result, not with the ledger."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.statistics import Refusal, days_around, grouped
from app.domain.status import AttemptResult, Status
from app.store.claims import oldest_due
from app.store.counters import QUARTER, WAITING, CounterValue, count_all, count_kinds, count_spans, quarter_of
from app.store.database import as_moment, as_parameter, connection
from app.store.job_runs import SCAN, last_run
from app.store.models import JobRun, Lease, Worker
from app.store.pauses import paused
from app.store.sql import REPLY_OR_RESULT, numbered
from app.store.workers import SCHEDULER

COUNT_LIMIT = 1_000
"""Filtered lists, which have no counters, are counted up to one more than this."""
MONTH = 30
"""Days shown before and after today."""
DUE_LIMIT = 20_000
"""Limit of letters, and of notices, counted as due in the current quarter of an hour."""
_DAY = timedelta(days=1)
_REFUSALS, _KINDS_OF_REFUSALS = 300, 8
_UNDECIDED = (Status.HELD, Status.UNCERTAIN, Status.FAILED)

# Counters cover earlier quarters of an hour, including claimed deliveries.
_DUE = """
    SELECT CAST((SELECT COALESCE(SUM(number), 0) FROM counters WHERE kind = 'waiting' AND quarter < @2) AS BIGINT)
           - (SELECT COUNT(*) FROM deliveries WHERE claimed_by_id IS NOT NULL AND due_at < @3)
           + (SELECT COUNT(*) FROM (
                SELECT 1 AS one FROM deliveries
                WHERE status = 'scheduled' AND NOT notice AND due_at >= @3 AND due_at <= @1 LIMIT {limit}
             ) AS of_letters)
           + (SELECT COUNT(*) FROM (
                SELECT 1 AS one FROM deliveries
                WHERE status = 'scheduled' AND notice AND due_at >= @3 AND due_at <= @1 LIMIT {limit}
             ) AS notices) AS due,
           (SELECT COUNT(*) FROM deliveries WHERE claimed_by_id IS NOT NULL) AS claimed
"""
_LAST_REFUSALS = """
    SELECT {reply} AS reply, ended_at FROM attempts WHERE outcome <> 'accepted'
    ORDER BY id DESC LIMIT {limit}
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """`due` is exact up to DUE_LIMIT; `claimed` are being sent."""

    due: int
    claimed: int
    oldest_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class StatusSummary:
    """`scheduler` is the worker that holds the lease, alive or not; `seen_at` is its last heartbeat.

    `troubles` are workers that cannot use the mail server, with the reason; `held` is by reason.
    """

    scheduler: str | None
    seen_at: datetime | None
    last_scan: JobRun | None
    backlog: Backlog
    held: dict[str, int]
    uncertain: int
    failed: int
    troubles: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the operator's time zone."""

    day: date
    waiting: int
    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class SentCount:
    since: datetime
    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class MonthStatistics:
    """Counts over time, to the quarter of an hour; `days` are MONTH days back, today, and MONTH ahead.

    `recent` is the last hour, day and week; `lateness` of a month's letters and `durations` of a
    day's accepted attempts are histograms, by seconds.
    """

    days: tuple[Day, ...]
    recent: tuple[SentCount, ...]
    lateness: dict[float, int]
    durations: dict[float, int]


async def status_summary(now: datetime) -> StatusSummary:
    lease = await Lease.get(name=SCHEDULER).select_related("worker")
    counts = [count for count in await count_kinds(*_UNDECIDED) if count.number]
    return StatusSummary(
        scheduler=lease.worker.name if lease.worker else None,
        seen_at=lease.worker.seen_at if lease.worker else None,
        last_scan=await last_run(SCAN),
        backlog=await backlog(now),
        held=_by_detail(counts, Status.HELD),
        uncertain=sum(count.number for count in counts if count.kind == Status.UNCERTAIN),
        failed=sum(count.number for count in counts if count.kind == Status.FAILED),
        troubles=await worker_troubles(),
    )


async def worker_troubles() -> tuple[tuple[str, str], ...]:
    return tuple([(worker.name, worker.trouble) async for worker in Worker.exclude(trouble="").order_by("name")])


async def backlog(now: datetime) -> Backlog:
    quarter = quarter_of(now)
    begin = datetime.fromtimestamp(quarter * QUARTER.total_seconds(), now.tzinfo)
    sql = numbered(_DUE.format(limit=DUE_LIMIT))
    (row,) = await connection().execute_query_dict(sql, [as_parameter(now), quarter, as_parameter(begin)])
    return Backlog(row["due"], row["claimed"], await oldest_due(now))


async def month_statistics(now: datetime, zone: ZoneInfo) -> MonthStatistics:
    days = days_around(now, zone, MONTH, MONTH)
    until = now + QUARTER
    recent = [now - span for span in (timedelta(hours=1), _DAY, timedelta(days=7))]
    spans = [(since, end) for _, since, end in days] + [(since, until) for since in recent]
    counts = await count_spans((WAITING, Status.SENT, Status.FAILED), spans)
    numbers: Counter[tuple[int, str]] = Counter()
    for count in counts:
        numbers[count.span, count.kind] += count.number
    attempts = await count_spans((AttemptResult.ACCEPTED,), [(now - _DAY, until)])
    letters = [count for count in counts if count.span < len(days) and not count.notice]
    return MonthStatistics(
        days=tuple(
            Day(day, *(numbers[span, kind] for kind in (WAITING, Status.SENT, Status.FAILED)))
            for span, (day, _, _) in enumerate(days)
        ),
        recent=tuple(
            SentCount(_quarter(since), numbers[span, Status.SENT], numbers[span, Status.FAILED])
            for span, since in enumerate(recent, len(days))
        ),
        lateness=_by_step(letters, Status.SENT),
        durations=_by_step(attempts, AttemptResult.ACCEPTED),
    )


def _quarter(moment: datetime) -> datetime:
    return datetime.fromtimestamp(quarter_of(moment) * QUARTER.total_seconds(), moment.tzinfo)


def _by_detail(counts: list[CounterValue], kind: str) -> dict[str, int]:
    numbers: Counter[str] = Counter()
    for count in counts:
        if count.kind == kind:
            numbers[count.detail] += count.number
    return dict(numbers.most_common())


def _by_step(counts: list[CounterValue], kind: str) -> dict[float, int]:
    return {
        float(step): number for step, number in sorted(_by_detail(counts, kind).items(), key=lambda it: float(it[0]))
    }


async def refusals(now: datetime) -> list[Refusal]:
    rows = await connection().execute_query_dict(_LAST_REFUSALS.format(reply=REPLY_OR_RESULT, limit=_REFUSALS))
    replies = [(str(row["reply"]), as_moment(row["ended_at"])) for row in rows]
    return grouped([(reply, at) for reply, at in replies if now - at <= _DAY], _KINDS_OF_REFUSALS)


@dataclass(frozen=True, slots=True)
class MonitorView:
    """`leader_seen_at` is the leader's last heartbeat; `troubled` workers cannot use the mail server."""

    counts: list[CounterValue]
    backlog: Backlog
    leader_seen_at: datetime | None
    last_scan: JobRun | None
    workers: int
    troubled: int
    paused: bool


async def monitor_view(now: datetime) -> MonitorView:
    troubles = [trouble for (trouble,) in await Worker.all().values_list("trouble")]
    return MonitorView(
        counts=await count_all(),
        backlog=await backlog(now),
        leader_seen_at=await _leader_seen_at(),
        last_scan=await last_run(SCAN),
        workers=len(troubles),
        troubled=sum(map(bool, troubles)),
        paused=await paused() is not None,
    )


async def _leader_seen_at() -> datetime | None:
    lease = await Lease.get(name=SCHEDULER).select_related("worker")
    return lease.worker.seen_at if lease.worker else None


async def scheduler_stalled(now: datetime, within: timedelta) -> bool:
    """Return whether the leader sent no heartbeat for `within`, or without a leader no scan started for as long."""
    if seen_at := await _leader_seen_at():
        return now - seen_at > within
    run = await last_run(SCAN)
    return run is not None and run.next_at is not None and now - run.next_at > within
