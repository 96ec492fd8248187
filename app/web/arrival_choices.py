"""Arrival days and time zones, as the form shows and reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from itertools import groupby
from zoneinfo import ZoneInfo

from babel.core import get_global
from babel.dates import format_date, format_timedelta
from markupsafe import Markup

from app.domain.letter import Draft
from app.domain.schedule import Delay, Promise, arrival, arrival_on, day_of
from app.settings import Settings
from app.templating import place_name, render, translations
from app.web.forms import N_, ZONES, FieldError, FormError, read_draft
from app.web.language import delay_words

_QUICK: dict[str, dict[str, int]] = {"P30D": {"days": 30}, "P100D": {"days": 100}, "P1Y": {"months": 12}}
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
class Choice:
    """One way to choose an arrival. `moment` is None for a day that is still open, and for no arrival.

    `days`, `months` and `seconds` from now are for the page's script.
    """

    value: str
    words: str
    moment: datetime | None = None
    days: int = 0
    months: int = 0
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """The choices for one arrival; `chosen` is the value of a choice, `day` the text of the date field."""

    occasion: str
    choices: tuple[Choice, ...]
    chosen: str
    day: str
    earliest: date
    latest: date


def arrivals(
    typed: Mapping[str, str], settings: Settings, written_at: datetime, timezone: str, language: str
) -> tuple[Arrival, Arrival]:
    asked = _ChosenArrival(settings, written_at, ZoneInfo(timezone), language)
    return asked.arrival("first", settings.first_delay, typed), asked.arrival("second", settings.second_delay, typed)


@dataclass(frozen=True, slots=True)
class _ChosenArrival:
    settings: Settings
    written_at: datetime
    zone: ZoneInfo
    language: str

    def arrival(self, occasion: str, usual: Delay, typed: Mapping[str, str]) -> Arrival:
        choice, day = typed.get(f"{occasion}_arrival", ""), typed.get(f"{occasion}_date", "")
        today = self.written_at.astimezone(self.zone).date()
        choices = self._choices(usual, today, can_be_none=occasion == "second")
        if not choice or choice in [each.value for each in choices]:
            chosen = choice or (ON_A_DAY if day else USUAL)
        else:
            chosen, day = ON_A_DAY, day or choice
        earliest, latest = (today + timedelta(days=days) for days in (self.settings.min_days, self.settings.max_days))
        return Arrival(occasion, choices, chosen, day, earliest, latest)

    def _choices(self, usual: Delay, today: date, *, can_be_none: bool) -> tuple[Choice, ...]:
        gettext = translations(self.language).gettext
        quick = [
            self._quick(text, today)
            for text in _QUICK
            if delay_words(usual, self.language) != _span(text, self.language)
        ]
        return (
            self._usual(usual),
            *filter(None, quick),
            Choice(ON_A_DAY, gettext("on a day I choose")),
            *([Choice(NEVER, gettext("not at all"))] if can_be_none else []),
        )

    def _usual(self, delay: Delay) -> Choice:
        moment = arrival(self.written_at, delay, self.zone)
        seconds = delay.elapsed.total_seconds()
        return Choice(USUAL, self._in(delay_words(delay, self.language)), moment, delay.days, seconds=seconds)

    def _quick(self, text: str, today: date) -> Choice | None:
        day = day_of(text, today)
        if not self.settings.min_days <= (day - today).days <= self.settings.max_days:
            return None
        moment = arrival_on(self.written_at, day, self.zone)
        return Choice(text, self._in(_span(text, self.language)), moment, **_QUICK[text])

    def _in(self, span: str) -> str:
        return translations(self.language).gettext("in %(delay)s") % {"delay": span}


@cache
def _span(text: str, language: str) -> str:
    months = _QUICK[text].get("months")
    span, unit = (timedelta(days=365), "year") if months else (timedelta(**_QUICK[text]), "day")
    return format_timedelta(span, unit, threshold=float("inf"), locale=language)  # type: ignore[arg-type]


def postmark_day(moment: datetime, timezone: str, language: str) -> tuple[str, str]:
    """Return day and year for a postmark: `28 Nov`, `2026`."""
    there = moment.astimezone(ZoneInfo(timezone))
    return format_date(there, _DAYS[language], locale=language), f"{there:%Y}"


@cache
def zone_options(language: str) -> Markup:
    """Return time zones with their cities by region, without obsolete names."""
    areas = groupby(_cities(language).items(), lambda place: place[0].partition("/")[0])
    return Markup(render("partials/time_zones.html", language, areas=areas))  # noqa: S704 - a template of ours, escaped


@cache
def _cities(language: str) -> dict[str, str]:
    current = sorted(zone for zone in ZONES - set(get_global("zone_aliases")) if zone.partition("/")[0] in _AREAS)
    return {zone: place_name(zone, language) for zone in current}


USUAL, ON_A_DAY, NEVER = "usual", "date", "none"
"""What may stand in `first_arrival` and `second_arrival` besides a day or a time after writing."""

_NO_DAY = FieldError(N_("This is not a valid date. Example: 2027-03-01."))
_WHICH_DAY = FieldError(N_("Please choose the day."))
_TOO_EARLY = N_("This is too early. The earliest possible day is %(day)s.")
_TOO_LATE = N_("This is too late. The latest possible day is %(day)s.")
_PAST = FieldError(N_("This time has already passed. Please choose a later day."))
_NOT_AFTER_FIRST = FieldError(
    N_("The second arrival must be later than the first: choose a later day for it, or none.")
)


def read_letter(
    values: Mapping[str, str], settings: Settings, *, language: str, written_at: datetime, now: datetime
) -> tuple[Draft, Promise]:
    """Raises FormError with all errors."""
    faults: dict[str, FieldError] = {}
    try:
        draft = read_draft(values, language=language, timezone=settings.timezone)
    except FormError as rejected:
        faults |= rejected.faults
    try:
        promise = read_promise(values, settings, written_at=written_at, now=now)
    except FormError as rejected:
        faults |= rejected.faults
    if faults:
        raise FormError(faults)
    return draft, promise


def read_promise(values: Mapping[str, str], settings: Settings, *, written_at: datetime, now: datetime) -> Promise:
    """Return the arrival times; the operator's defaults where none were chosen. Raises FormError."""
    chosen = values.get("timezone", "")
    zone = ZoneInfo(chosen if chosen in ZONES else settings.timezone)
    name, wish = _chosen("first", values)
    first = _moment(wish, settings.first_delay, settings, zone, written_at)
    second_name, wish = _chosen("second", values)
    second = None if wish == NEVER else _moment(wish, settings.second_delay, settings, zone, written_at)
    faults = {each: moment for each, moment in ((name, first), (second_name, second)) if isinstance(moment, FieldError)}
    if isinstance(first, datetime) and isinstance(second, datetime) and second <= first:
        faults[second_name] = _NOT_AFTER_FIRST
    if isinstance(first, datetime) and first <= now:
        faults[name] = _PAST
    if isinstance(first, FieldError) or isinstance(second, FieldError) or faults:
        raise FormError(faults)
    return Promise(first, second)


def _chosen(occasion: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Return the choice and its field. A date without a choice counts as one."""
    choice, day = values.get(f"{occasion}_arrival", ""), values.get(f"{occasion}_date", "")
    if choice == ON_A_DAY or (day and not choice):
        return f"{occasion}_date", day or ON_A_DAY
    return f"{occasion}_arrival", choice or USUAL


def _moment(wish: str, usual: Delay, settings: Settings, zone: ZoneInfo, written_at: datetime) -> datetime | FieldError:
    if wish == USUAL:
        return arrival(written_at, usual, zone)
    if wish == ON_A_DAY:
        return _WHICH_DAY
    today = written_at.astimezone(zone).date()
    try:
        day = day_of(wish, today)
    except ValueError:
        return _NO_DAY
    return _limit(day, today, settings) or arrival_on(written_at, day, zone)


def _limit(day: date, today: date, settings: Settings) -> FieldError | None:
    earliest, latest = (today + timedelta(days) for days in (settings.min_days, settings.max_days))
    if day < earliest:
        return FieldError(_TOO_EARLY, {"day": earliest})
    return FieldError(_TOO_LATE, {"day": latest}) if day > latest else None
