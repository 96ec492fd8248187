"""From the days that a writer chose to a promise, or to words about what is wrong with them: pure."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.letter import Draft
from app.domain.schedule import Delay, Promise, arrival, arrival_on, day_of
from app.settings import Settings
from app.web.forms import N_, ZONES, Fault, Rejected, read_draft

USUAL, ON_A_DAY, NEVER = "usual", "date", "none"
"""What may stand in `first_arrival` and `second_arrival` besides a day or a time after writing."""

_NO_DAY = Fault(N_("This is no day we can read, such as 2027-03-01."))
_WHICH_DAY = Fault(N_("Please choose the day."))
_TOO_EARLY = N_("This is too early: the first day that can be chosen is %(day)s.")
_TOO_LATE = N_("This is too late: the last day that can be chosen is %(day)s.")
_PAST = Fault(N_("This moment has passed already. Please choose a later day."))
_NOT_AFTER_FIRST = Fault(N_("The second arrival must be later than the first: choose a later day for it, or none."))


def read_letter(
    values: Mapping[str, str], settings: Settings, *, language: str, written_at: datetime, now: datetime
) -> tuple[Draft, Promise]:
    """Return the letter that was typed, and when it arrives.

    Raises Rejected, with all that is wrong.
    """
    faults: dict[str, Fault] = {}
    try:
        draft = read_draft(values, language=language, timezone=settings.timezone)
    except Rejected as rejected:
        faults |= rejected.faults
    try:
        promise = read_promise(values, settings, written_at=written_at, now=now)
    except Rejected as rejected:
        faults |= rejected.faults
    if faults:
        raise Rejected(faults)
    return draft, promise


def read_promise(values: Mapping[str, str], settings: Settings, *, written_at: datetime, now: datetime) -> Promise:
    """Return when a letter arrives that was written at `written_at`; the operator's days where none were chosen.

    Raises Rejected.
    """
    chosen = values.get("timezone", "")
    zone = ZoneInfo(chosen if chosen in ZONES else settings.timezone)
    name, wish = _wish("first", values)
    first = _moment(wish, settings.first_delay, settings, zone, written_at)
    second_name, wish = _wish("second", values)
    second = None if wish == NEVER else _moment(wish, settings.second_delay, settings, zone, written_at)
    faults = {each: moment for each, moment in ((name, first), (second_name, second)) if isinstance(moment, Fault)}
    if isinstance(first, datetime) and isinstance(second, datetime) and second <= first:
        faults[second_name] = _NOT_AFTER_FIRST
    if isinstance(first, datetime) and first <= now:
        faults[name] = _PAST
    if isinstance(first, Fault) or isinstance(second, Fault) or faults:
        raise Rejected(faults)
    return Promise(first, second)


def _wish(occasion: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Return what was chosen, and in which field.

    The form has a field of its own for a day; one that came without a choice is a choice too.
    """
    choice, day = values.get(f"{occasion}_arrival", ""), values.get(f"{occasion}_date", "")
    if choice == ON_A_DAY or (day and not choice):
        return f"{occasion}_date", day or ON_A_DAY
    return f"{occasion}_arrival", choice or USUAL


def _moment(wish: str, usual: Delay, settings: Settings, zone: ZoneInfo, written_at: datetime) -> datetime | Fault:
    """Return the moment a wish means."""
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


def _limit(day: date, today: date, settings: Settings) -> Fault | None:
    """Return what is wrong with a day that lies outside of the operator's limits."""
    earliest, latest = (today + timedelta(days) for days in (settings.min_days, settings.max_days))
    if day < earliest:
        return Fault(_TOO_EARLY, {"day": earliest})
    return Fault(_TOO_LATE, {"day": latest}) if day > latest else None
