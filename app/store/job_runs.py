"""When each of the scheduler's jobs ran last, and how far the scan has come."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.delivery_filter import DeliveryFilter
from app.domain.status import Status
from app.store.counters import ENDED, QUARTER, WAITING, count_spans, quarter_of
from app.store.database import as_parameter, connection
from app.store.delivery_query import count
from app.store.models import JobRun
from app.store.sql import numbered

SCAN = "scan"
SCAN_COMMAND = "scan command"

_START = """
    INSERT INTO job_runs (name, worker_name, started_at, next_at) VALUES (@1, @2, @3, @4)
    ON CONFLICT (name) DO UPDATE
    SET worker_name = excluded.worker_name, started_at = excluded.started_at, next_at = excluded.next_at,
        ended_at = NULL, number = 0
"""
# A run that a removed worker did not finish may be started again, and so may the worker's own.
_CLAIM = f"""{_START}
    WHERE job_runs.started_at < @5 OR (
        job_runs.ended_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM workers WHERE name = job_runs.worker_name AND name <> @2)
    )
    RETURNING name
"""  # noqa: S608 - put together from constants
_END = """
    UPDATE job_runs
    SET ended_at = @1, number = @2, runs = runs + 1, milliseconds = milliseconds + @3
    WHERE name = @4 AND ended_at IS NULL
"""

_REFRESH = timedelta(seconds=2)
_MAX_DELAY = timedelta(minutes=1)
"""How late the next scan may be before scanning counts as stopped."""
_DONE = (*ENDED, Status.UNCERTAIN.value)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00Z")
_COUNT_LIMIT = 10_000


async def record_job_start(name: str, worker_name: str, now: datetime, next_at: datetime | None = None) -> None:
    moments = [as_parameter(now), as_parameter(next_at) if next_at else None]
    await connection().execute_query(numbered(_START), [name, worker_name, *moments])


async def record_next_run(name: str, next_at: datetime) -> None:
    await JobRun.filter(name=name).update(next_at=next_at)


async def claim_job_run(name: str, worker_name: str, now: datetime, due: datetime, next_at: datetime) -> bool:
    """Record the start of a job that was due at `due`. False: it has run since, or another worker runs it."""
    moments = [as_parameter(moment) for moment in (now, next_at, due)]
    return bool(await connection().execute_query_dict(numbered(_CLAIM), [name, worker_name, *moments]))


async def record_job_end(name: str, now: datetime, took: timedelta, number: int) -> None:
    milliseconds = round(took.total_seconds() * 1000)
    await connection().execute_query(numbered(_END), [as_parameter(now), number, milliseconds, name])


async def last_scan_at(interval: timedelta) -> datetime | None:
    """Return the time of the last scan; only processes whose clock was checked scan.

    Heartbeats and letters are no such sign: a process whose clock is wrong writes them too.
    """
    moments = []
    for run in await JobRun.filter(name__in=(SCAN, SCAN_COMMAND)):
        moments += [run.started_at, *([run.next_at - interval] if run.next_at else [])]
    return max(moments, default=None)


async def last_run(name: str) -> JobRun | None:
    return await JobRun.get_or_none(name=name)


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """`since` is the scan's start, rounded down to a quarter of an hour; `done` counts from there.

    `left` is how many are due and still wait; `refresh_after` is None where nothing will change.
    """

    running: bool
    since: datetime
    done: int
    left: int
    refresh_after: timedelta | None

    @property
    def total(self) -> int:
        return self.done + self.left


async def scan_progress(now: datetime) -> ScanProgress | None:
    run = await last_run(SCAN)
    if run is None:
        return None
    since = _EPOCH + quarter_of(run.started_at) * QUARTER
    done, left = await _scan_counts(since, now)
    next_at = run.next_at or now
    active = now < next_at + _MAX_DELAY
    running = active and run.ended_at is None and left > 0
    refresh_after = None
    if running:
        refresh_after = _REFRESH
    elif active and await count(DeliveryFilter(frozenset({Status.SCHEDULED}), until=next_at), 1):
        refresh_after = max(next_at - now, _REFRESH)
    return ScanProgress(running, since, done, left, refresh_after)


async def _scan_counts(since: datetime, now: datetime) -> tuple[int, int]:
    end = _EPOCH + (quarter_of(now) + 1) * QUARTER
    waiting = sum(each.number for each in await count_spans([WAITING], [(_EPOCH, end)]))
    done = sum(each.number for each in await count_spans(_DONE, [(since, end)]))
    # The present quarter of an hour includes some that are not due yet.
    not_due = await count(DeliveryFilter(frozenset({Status.SCHEDULED}), since=now, until=end), _COUNT_LIMIT)
    return done, max(0, waiting - not_due)
