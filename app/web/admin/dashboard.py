"""The dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from app.domain.delivery_filter import ENDED, DeliveryFilter
from app.domain.statistics import ENOUGH, quantile, share_of
from app.domain.status import Status
from app.store.counters import DURATION, LATENESS
from app.store.delivery_list import list_deliveries
from app.store.statistics import MONTH, Day, MonthStatistics, StatusSummary, month_statistics, refusals, status_summary
from app.web.admin.base import SignedIn, admin_page
from app.web.formatting import NumberFormatter
from app.web.language import language_of
from app.web.pages import CurrentServices

HEIGHT = 100.0
"""Of a plot, in its own units; so is a day's width 10."""
_STEP, _WIDTH = 10.0, 7.0
_LEAST = 1.5  # so that a small number is visible
_SHADES = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of a chart, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A day of the calendar; `shade` is from 0, none, to 5, the most of any day."""

    day: date
    number: int
    shade: int


def ceiling(largest: int) -> int:
    """Return the next round number: 1, 2 or 5 with zeros."""
    power = 10 ** (len(str(max(largest, 1))) - 1)
    return next(int(step * power) for step in (1, 2, 5, 10) if step * power >= largest)


def stacked(lower: Sequence[int], upper: Sequence[int]) -> tuple[list[Bar], list[Bar], int]:
    """Return stacked bars for pairs of numbers, and the value of the full height."""
    top = ceiling(max((low + high for low, high in zip(lower, upper, strict=True)), default=0))
    below = [_bar(number, 0.0, low, top) for number, low in enumerate(lower)]
    above = [_bar(number, HEIGHT - below[number].y, high, top) for number, high in enumerate(upper)]
    return below, above, top


def _bar(number: int, base: float, value: int, top: int) -> Bar:
    height = max(_LEAST, HEIGHT * value / top) if value else 0.0
    return Bar(
        x=number * _STEP + (_STEP - _WIDTH) / 2,
        y=round(max(0.0, HEIGHT - base - height), 2),
        width=_WIDTH,
        height=round(height, 2),
    )


def calendar(days: Sequence[tuple[date, int]]) -> list[list[Cell | None]]:
    """Return weeks from Monday to Sunday; None is a day outside of the range."""
    largest = max((number for _, number in days), default=0)
    cells = [Cell(day, number, _shade(number, largest)) for day, number in days]
    if not cells:
        return []
    before, behind = cells[0].day.weekday(), 6 - cells[-1].day.weekday()
    places = [*(None for _ in range(before)), *cells, *(None for _ in range(behind))]
    return [places[begin : begin + 7] for begin in range(0, len(places), 7)]


def _shade(number: int, largest: int) -> int:
    return -(-number * _SHADES // largest) if number else 0


router = APIRouter(prefix="/admin", include_in_schema=False)

_GLANCE = 10
_NEXT = DeliveryFilter(frozenset({Status.SCHEDULED, Status.CLAIMED}))
_LAST = DeliveryFilter(frozenset(ENDED))
_LATE_AFTER = timedelta(minutes=5)  # a scan that should have begun so long ago, or waits so long for its turn


@dataclass(frozen=True, slots=True)
class SentPlot:
    """A bar for each day, and the value of the full height."""

    days: tuple[Day, ...]
    sent: list[Bar]
    failed: list[Bar]
    top: int
    width: int


@dataclass(frozen=True, slots=True)
class Situation:
    """Figures for the page. Durations are in seconds; None: not known.

    `lateness` is, for each step in seconds, the number of letters and their share.
    """

    figures: MonthStatistics
    behind: SentPlot
    ahead: list[list[Cell | None]]
    success: float | None
    enough: bool
    median: float | None
    most: float | None
    lateness: list[tuple[float, int, float]]


@router.get("", name="admin")
async def show_dashboard(request: Request, account: SignedIn, services: CurrentServices) -> Response:
    now = services.clock.now()
    stand = await status_summary(now)
    return admin_page(
        request,
        "admin/dashboard.html",
        account,
        stand=stand,
        alive=is_alive(stand, now, services.settings.lease),
        sight=situation_of(await month_statistics(now, services.settings.zone)),
        refusals=await refusals(now),
        numbers=NumberFormatter(language_of(request)),
        zip=zip,
        coming=await list_deliveries(services.cipher, _NEXT, descending=False, limit=_GLANCE),
        ended=await list_deliveries(services.cipher, _LAST, descending=True, limit=_GLANCE),
    )


def is_alive(stand: StatusSummary, now: datetime, lease: timedelta) -> bool:
    """Whether a scheduler is alive: by its worker's heartbeat and by recent scans."""
    if stand.seen_at is None or now - stand.seen_at > lease:
        return False
    next_at = stand.last_scan.next_at if stand.last_scan else None
    return next_at is None or now - next_at <= _LATE_AFTER


def situation_of(found: MonthStatistics) -> Situation:
    behind, ahead = found.days[: MONTH + 1], found.days[MONTH:]
    sent, failed, top = stacked([day.sent for day in behind], [day.failed for day in behind])
    day = found.recent[1]
    success = share_of(day.sent, day.failed)
    durations = [(step, found.durations.get(step, 0)) for step in DURATION]
    total = sum(found.lateness.values())
    return Situation(
        figures=found,
        behind=SentPlot(behind, sent, failed, top, len(behind) * 10),
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
