"""The alarms that ring, and what they ring by. Several processes watch; each alarm is told by one of them."""

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
_LIVES = timedelta(minutes=1)
_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=1)


async def take_snapshot(
    now: datetime, watched_since: datetime, *, paused: bool, clock_deviation: timedelta = timedelta()
) -> Snapshot:
    """Return how the post office stands; it costs the same however many letters there are."""
    newest = await Attempt.all().order_by("-id").first()
    lease = await Lease.get(name=SCHEDULER).select_related("worker")
    scan = await last_run(SCAN)
    kinds = (Status.SENT.value, Status.FAILED.value, AttemptResult.UNANSWERED.value)
    counts = Counter[str]()
    for count in await count_spans(kinds, [(now - _HOUR, now + _HOUR)]):
        counts[count.kind] += count.number
    trouble = await Worker.filter(seen_at__gte=now - _LIVES).exclude(trouble="").order_by("name").first()
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


async def record(ringing: Iterable[Alert], now: datetime) -> None:
    """Put on record which alarms ring now; what has been quiet for PATIENCE is over."""
    names = [alarm.value for alarm in ringing]
    raised = [RaisedAlert(name=name, since=now, rang_at=now) for name in names]
    await RaisedAlert.bulk_create(raised, ignore_conflicts=True)
    await RaisedAlert.filter(name__in=names).update(rang_at=now)
    # It rings again before anybody could be told that it was over: then it never was.
    await RaisedAlert.filter(name__in=names).exclude(over_at=None).update(over_at=None, told_at=now)
    quiet = RaisedAlert.filter(rang_at__lte=now - GRACE, over_at=None)
    await quiet.filter(told_at=None).delete()
    await quiet.update(over_at=now, told_at=None, tried_at=None, tries=0)


async def claim_unsent(now: datetime) -> list[RaisedAlert]:
    """Return what somebody must be told, and now: nobody else gets it until a while after a try that failed."""
    taken = []
    for alarm in await RaisedAlert.filter(told_at=None).order_by("name"):
        if alarm.tried_at and now - alarm.tried_at < min(_FIRST_WAIT * 2 ** (alarm.tries - 1), _LONGEST_WAIT):
            continue
        ours = RaisedAlert.filter(name=alarm.name, told_at=None, tries=alarm.tries, over_at=alarm.over_at)
        if await ours.update(tried_at=now, tries=F("tries") + 1):
            taken.append(alarm)
    return taken


async def mark_sent(alarm: RaisedAlert, now: datetime) -> None:
    """Put on record that somebody was told that it rings, or that it is over."""
    if alarm.over_at:
        await RaisedAlert.filter(name=alarm.name, over_at=alarm.over_at).delete()
    else:
        await RaisedAlert.filter(name=alarm.name, over_at=None).update(told_at=now)
