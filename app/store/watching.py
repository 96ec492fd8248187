"""What machines that watch the program ask, the same from every process, and quick over any ledger."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.store.job_runs import SCAN, last_run
from app.store.leases import SCHEDULER
from app.store.models import JobRun, Lease, Worker
from app.store.overview import Backlog, backlog
from app.store.pauses import paused
from app.store.tallies import Count, count_all


@dataclass(frozen=True, slots=True)
class Watched:
    """One look at the ledger. `leader_seen_at` is the last beat of who holds the scheduler's lease.

    `troubled` is how many of the `workers` cannot use the mail server just now.
    """

    counts: list[Count]
    backlog: Backlog
    leader_seen_at: datetime | None
    last_scan: JobRun | None
    workers: int
    troubled: int
    paused: bool


async def watch(now: datetime) -> Watched:
    """Return how the ledger stands."""
    troubles = [trouble for (trouble,) in await Worker.all().values_list("trouble")]
    return Watched(
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


async def is_stale(now: datetime, within: timedelta) -> bool:
    """Return whether nobody runs the scheduler: its holder's beat stands still, or nobody took it up for `within`."""
    if seen_at := await _leader_seen_at():
        return now - seen_at > within
    run = await last_run(SCAN)
    return run is not None and run.next_at is not None and now - run.next_at > within
