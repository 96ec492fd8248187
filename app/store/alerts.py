"""Raised alerts. Several processes watch; each notification is sent by one of them."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from tortoise.expressions import F

from app.domain.alerts import GRACE, Alert, Snapshot
from app.domain.status import AttemptResult, Status
from app.store.claims import oldest_due
from app.store.counters import count_spans
from app.store.job_runs import SCAN, last_run
from app.store.models import Attempt, Delivery, Lease, Worker
from app.store.operator_models import RaisedAlert
from app.store.workers import SCHEDULER

_HOUR = timedelta(hours=1)
_WORKER_ALIVE = timedelta(minutes=1)
_MAX_RETRY_MINUTES = 60


async def take_snapshot(
    now: datetime, watched_since: datetime, *, paused: bool, clock_deviation: timedelta = timedelta()
) -> Snapshot:
    """Return the state that alerts depend on, at a cost that does not grow with the ledger."""
    newest = await Attempt.all().order_by("-id").first()
    lease = await Lease.get(name=SCHEDULER).select_related("worker")
    scan = await last_run(SCAN)
    kinds = (Status.SENT.value, Status.FAILED.value, AttemptResult.UNANSWERED.value)
    counts = Counter[str]()
    for count in await count_spans(kinds, [(now - _HOUR, now + _HOUR)]):
        counts[count.kind] += count.number
    trouble = await Worker.filter(seen_at__gte=now - _WORKER_ALIVE).exclude(trouble="").order_by("name").first()
    uncertain = await Delivery.filter(status=Status.UNCERTAIN).exists()
    return Snapshot(
        now=now,
        watched_since=watched_since,
        paused=paused,
        led_at=lease.worker.seen_at if lease.worker else (scan.started_at if scan else None),
        oldest_due_at=await oldest_due(now),
        tried_at=newest.ended_at if newest else None,
        sent=counts[Status.SENT],
        failed=counts[Status.FAILED],
        unanswered=counts[AttemptResult.UNANSWERED] + uncertain,
        trouble=trouble.trouble if trouble else "",
        clock_deviation=clock_deviation,
    )


async def record(firing: Iterable[Alert], now: datetime) -> None:
    """Store which alerts fire now; one that has not fired for GRACE is over."""
    names = [alert.value for alert in firing]
    raised = [RaisedAlert(name=name, since=now, fired_at=now) for name in names]
    await RaisedAlert.bulk_create(raised, ignore_conflicts=True)
    await RaisedAlert.filter(name__in=names).update(fired_at=now)
    # One that fires again before its end was sent has not ended.
    await RaisedAlert.filter(name__in=names).exclude(ended_at=None).update(ended_at=None, notified_at=now)
    quiet = RaisedAlert.filter(fired_at__lte=now - GRACE, ended_at=None)
    await quiet.filter(notified_at=None).delete()
    await quiet.update(ended_at=now, notified_at=None, attempted_at=None, attempts=0)


async def claim_unsent(now: datetime) -> list[RaisedAlert]:
    """Return the alerts to send now. Each is claimed: no other process gets it until its retry delay has passed."""
    claimed = []
    for alert in await RaisedAlert.filter(notified_at=None).order_by("name"):
        delay = timedelta(minutes=min(2 ** (alert.attempts - 1), _MAX_RETRY_MINUTES))
        if alert.attempted_at and now - alert.attempted_at < delay:
            continue
        unclaimed = RaisedAlert.filter(
            name=alert.name, notified_at=None, attempts=alert.attempts, ended_at=alert.ended_at
        )
        if await unclaimed.update(attempted_at=now, attempts=F("attempts") + 1):
            claimed.append(alert)
    return claimed


async def mark_sent(alert: RaisedAlert, now: datetime) -> None:
    if alert.ended_at:
        await RaisedAlert.filter(name=alert.name, ended_at=alert.ended_at).delete()
    else:
        await RaisedAlert.filter(name=alert.name, ended_at=None).update(notified_at=now)
