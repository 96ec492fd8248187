"""How far a scan has come: told by the counts that triggers keep, and so at the same cost for a million."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.delivery_filter import DeliveryFilter
from app.domain.status import Status
from app.store.counters import ENDED, QUARTER, WAITING, count_spans, quarter_of
from app.store.delivery_query import count
from app.store.job_runs import SCAN, last_run

_OFTEN = timedelta(seconds=2)
_PATIENCE = timedelta(minutes=1)
"""How long after the next scan was to begin one still believes in it."""
_GONE = (*ENDED, Status.UNCERTAIN.value)
_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00Z")
_MOST_LOOKED_AT = 10_000


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """Of what was due since `since`, a quarter of an hour before or at the scan's begin, so many are gone.

    `look_again` is after how long there will be something new to see; None: nothing moves.
    """

    running: bool
    since: datetime
    gone: int
    left: int
    look_again: timedelta | None

    @property
    def whole(self) -> int:
        return self.gone + self.left


async def scan_progress(now: datetime) -> ScanProgress | None:
    """Return how far the scan has come that runs, or ran last; None: none ever ran."""
    run = await last_run(SCAN)
    if run is None:
        return None
    since = _LONG_AGO + quarter_of(run.started_at) * QUARTER
    gone, left = await _counts(since, now)
    next_at = run.next_at or now
    lives = now < next_at + _PATIENCE
    running = lives and run.ended_at is None and left > 0
    waits = None
    if running:
        waits = _OFTEN
    elif lives and await count(DeliveryFilter(frozenset({Status.SCHEDULED}), until=next_at), 1):
        waits = max(next_at - now, _OFTEN)
    return ScanProgress(running, since, gone, left, waits)


async def _counts(since: datetime, now: datetime) -> tuple[int, int]:
    """Return how many are gone since `since`, and how many are due and still wait."""
    end = _LONG_AGO + (quarter_of(now) + 1) * QUARTER
    waiting = sum(each.number for each in await count_spans([WAITING], [(_LONG_AGO, end)]))
    gone = sum(each.number for each in await count_spans(_GONE, [(since, end)]))
    # The quarter of an hour that it is now holds some that are not due yet.
    not_yet = await count(DeliveryFilter(frozenset({Status.SCHEDULED}), since=now, until=end), _MOST_LOOKED_AT)
    return gone, max(0, waiting - not_yet)
