"""How the post office stands today."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from app.domain.figures import ENOUGH, quantile, share_of
from app.domain.selection import ENDED, Selection
from app.domain.status import Status
from app.store.listing import list_deliveries
from app.store.overview import MONTH, Day, Figures, Overview, figures, overview, refusals
from app.store.tallies import DURATION, LATENESS
from app.web.desk.frame import SignedIn, desk_page
from app.web.desk.numbers import Numbers
from app.web.desk.plots import Bar, Cell, calendar, stacked
from app.web.language import language_of
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin", include_in_schema=False)

_GLANCE = 10
_NEXT = Selection(frozenset({Status.SCHEDULED, Status.CLAIMED}))
_LAST = Selection(frozenset(ENDED))
_LATE_AFTER = timedelta(minutes=5)  # a scan that should have begun so long ago, or waits so long for its turn


@dataclass(frozen=True, slots=True)
class Behind:
    """The plot of what went out: a bar for each day, and what the whole height stands for."""

    days: tuple[Day, ...]
    sent: list[Bar]
    failed: list[Bar]
    top: int
    width: int


@dataclass(frozen=True, slots=True)
class Sight:
    """The figures as the page shows them. Durations are in seconds; None: there is nothing to say.

    `lateness` is, for each step in seconds, how many letters fell to it and which share of all.
    """

    figures: Figures
    behind: Behind
    ahead: list[list[Cell | None]]
    success: float | None
    enough: bool
    median: float | None
    most: float | None
    lateness: list[tuple[float, int, float]]


@router.get("", name="admin")
async def desk(request: Request, account: SignedIn, mailbox: OpenMailbox) -> Response:
    now = mailbox.clock.now()
    stand = await overview(now)
    return desk_page(
        request,
        "admin/desk.html",
        account,
        stand=stand,
        alive=is_alive(stand, now, mailbox.settings.lease),
        sight=sight_of(await figures(now, mailbox.settings.zone)),
        refusals=await refusals(now),
        numbers=Numbers(language_of(request)),
        zip=zip,
        coming=await list_deliveries(mailbox.vault, _NEXT, falling=False, limit=_GLANCE),
        ended=await list_deliveries(mailbox.vault, _LAST, falling=True, limit=_GLANCE),
    )


def is_alive(stand: Overview, now: datetime, lease: timedelta) -> bool:
    """Return whether a scheduler shows that it lives: by its worker's beat, and by scanning in time."""
    if stand.seen_at is None or now - stand.seen_at > lease:
        return False
    next_at = stand.last_scan.next_at if stand.last_scan else None
    return next_at is None or now - next_at <= _LATE_AFTER


def sight_of(found: Figures) -> Sight:
    """Return the figures as the page shows them."""
    behind, ahead = found.days[: MONTH + 1], found.days[MONTH:]
    sent, failed, top = stacked([day.sent for day in behind], [day.failed for day in behind])
    day = found.lately[1]
    success = share_of(day.sent, day.failed)
    durations = [(step, found.durations.get(step, 0)) for step in DURATION]
    total = sum(found.lateness.values())
    return Sight(
        figures=found,
        behind=Behind(behind, sent, failed, top, len(behind) * 10),
        ahead=calendar([(each.day, each.waiting) for each in ahead]),
        success=success,
        enough=success is None or success >= ENOUGH,
        median=quantile(durations, 0.5),
        most=quantile(durations, 0.95),
        lateness=[
            (step, number, number / total) for step in LATENESS if (number := found.lateness.get(step, 0)) or step == 60
        ]
        if total
        else [],
    )
