"""When the scheduler's jobs ran last, for every process to read."""

from datetime import datetime, timedelta

from app.store.database import as_parameter, connection
from app.store.models import JobRun
from app.store.sql import numbered

SCAN = "scan"
SCAN_COMMAND = "scan command"

_BEGIN = """
    INSERT INTO job_runs (name, worker_name, started_at, next_at) VALUES (@1, @2, @3, @4)
    ON CONFLICT (name) DO UPDATE
    SET worker_name = excluded.worker_name, started_at = excluded.started_at, next_at = excluded.next_at,
        ended_at = NULL, number = 0
"""
# Who is gone left it undone; so did we, if we ask again.
_TAKE_TURN = f"""{_BEGIN}
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


async def job_began(name: str, worker_name: str, now: datetime, next_at: datetime | None = None) -> None:
    """Put on record that a job runs from now on, and when it is to run again if anything repeats it."""
    moments = [as_parameter(now), as_parameter(next_at) if next_at else None]
    await connection().execute_query(numbered(_BEGIN), [name, worker_name, *moments])


async def job_goes_on(name: str, next_at: datetime) -> None:
    """Put on record when a job that still runs would run again."""
    await JobRun.filter(name=name).update(next_at=next_at)


async def take_turn(name: str, worker_name: str, now: datetime, due: datetime, next_at: datetime) -> bool:
    """Put on record that a job begins that was due once at a moment; False: somebody has done it since, or does it."""
    moments = [as_parameter(moment) for moment in (now, next_at, due)]
    return bool(await connection().execute_query_dict(numbered(_TAKE_TURN), [name, worker_name, *moments]))


async def job_ended(name: str, now: datetime, took: timedelta, number: int) -> None:
    """Put on record that a job has ended, how long it took, and of how many things it took care."""
    milliseconds = round(took.total_seconds() * 1000)
    await connection().execute_query(numbered(_END), [as_parameter(now), number, milliseconds, name])


async def last_scan_at(interval: timedelta) -> datetime | None:
    """Return when due deliveries were last looked for: only processes that trust their clock do so.

    Heartbeats and letters are no such sign, for a process whose clock is wrong writes them too.
    """
    moments = []
    for run in await JobRun.filter(name__in=(SCAN, SCAN_COMMAND)):
        moments += [run.started_at, *([run.next_at - interval] if run.next_at else [])]
    return max(moments, default=None)


async def last_run(name: str) -> JobRun | None:
    """Return the last run of a job, if it ever ran."""
    return await JobRun.get_or_none(name=name)
