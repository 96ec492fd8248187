"""The days of arrival, and the places whose clocks count, as the pages say them."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from zoneinfo import ZoneInfo

from babel.core import get_global
from babel.dates import format_date, get_timezone_location
from markupsafe import Markup

from app.domain.schedule import Delay, arrival
from app.rendering import render
from app.settings import Settings
from app.web.forms import N_, ZONES
from app.web.language import delay_words

_DAYS = {"en": "d MMM", "ko": "M. d."}
_AREAS = (
    N_("Africa"),
    N_("America"),
    N_("Antarctica"),
    N_("Asia"),
    N_("Atlantic"),
    N_("Australia"),
    N_("Europe"),
    N_("Indian"),
    N_("Pacific"),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A promised arrival that has not been posted yet; `days` or `seconds` are for the page's script."""

    moment: datetime
    delay: str
    days: int
    seconds: float


def expected(settings: Settings, now: datetime, timezone: str, language: str) -> list[Arrival]:
    """Return when a letter written now arrives."""
    return [_expected(delay, now, timezone, language) for delay in (settings.first_delay, settings.second_delay)]


def _expected(delay: Delay, now: datetime, timezone: str, language: str) -> Arrival:
    moment = arrival(now, delay, ZoneInfo(timezone))
    return Arrival(moment, delay_words(delay, language), delay.days, delay.elapsed.total_seconds())


def postmark_day(moment: datetime, timezone: str, language: str) -> tuple[str, str]:
    """Return day and year as they stand in a postmark: `28 Nov`, `2026`."""
    there = moment.astimezone(ZoneInfo(timezone))
    return format_date(there, _DAYS[language], locale=language), f"{there:%Y}"


@cache
def zone_options(language: str) -> Markup:
    """Return time zones with their cities, by part of the world; old names of a zone are left out."""
    areas = groupby(_cities(language).items(), lambda place: place[0].partition("/")[0])
    return Markup(render("partials/zones.html", language, areas=areas))  # noqa: S704 - a template of ours, escaped


def place_of(zone: str, language: str) -> str:
    """Return a zone as people of that language say it: `Seoul`, `서울`."""
    return _cities(language).get(zone, zone.replace("_", " "))


@cache
def _cities(language: str) -> dict[str, str]:
    current = sorted(zone for zone in ZONES - set(get_global("zone_aliases")) if zone.partition("/")[0] in _AREAS)
    return {zone: get_timezone_location(zone, locale=language, return_city=True) for zone in current}
