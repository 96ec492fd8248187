"""When a letter arrives."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

LONGEST = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Delay:
    """The time between writing and arrival.

    `days` are calendar days in the letter's time zone, at the hour of writing; `elapsed` is elapsed
    time. One of them is zero. Raises ValueError for none, and beyond LONGEST.
    """

    days: int = 0
    elapsed: timedelta = timedelta()

    def __post_init__(self) -> None:
        if not timedelta() < self.nominal <= LONGEST:
            raise ValueError(f"a delay must be longer than nothing, and at most {LONGEST.days} days")

    @property
    def nominal(self) -> timedelta:
        """Its length without changes of the clocks."""
        return timedelta(days=self.days) + self.elapsed

    def always_beyond(self, other: "Delay") -> bool:
        """Whether this delay ends later than `other`, whenever and wherever a letter is written.

        Seven calendar days and 169 hours end at once where the clocks go back between; a zone that moves
        across the date line shifts by a whole day.
        """
        same_kind = bool(self.days) == bool(other.days)
        return self.nominal > other.nominal + (timedelta() if same_kind else timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Promise:
    """In UTC; `second` is None for a letter that arrives once."""

    first: datetime
    second: datetime | None


def arrival(written_at: datetime, delay: Delay, zone: ZoneInfo) -> datetime:
    """In UTC."""
    if not delay.days:
        return written_at + delay.elapsed
    return arrival_on(written_at, written_at.astimezone(zone).date() + timedelta(days=delay.days), zone)


def arrival_on(written_at: datetime, day: date, zone: ZoneInfo) -> datetime:
    """Return the hour of writing on a day in `zone`, in UTC.

    Where that hour does not exist on the day (the clocks went forward) it is the later reading,
    where it comes twice it is the first: both are what `fold=0` means (PEP 495).
    """
    there = datetime.combine(day, written_at.astimezone(zone).time(), zone)
    return there.replace(fold=0).astimezone(UTC)


_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_AFTER = re.compile(r"P(?P<count>\d{1,5})(?P<unit>[DWMY])", re.ASCII)
_DAYS_IN = {"D": 1, "W": 7}
_MONTHS_IN = {"M": 1, "Y": 12}


def day_of(text: str, today: date) -> date:
    """Parse a day (`2027-03-01`), or a time after today in one unit (`P100D`, `P6W`, `P3M`, `P1Y`).

    A month after the 31st is the last day of a shorter month. Raises ValueError.
    """
    after = _AFTER.fullmatch(text)
    if not after:
        if not _DAY.fullmatch(text):
            raise ValueError(f"{text!r} is no day such as 2027-03-01 or P100D")
        return date.fromisoformat(text)
    count, unit = int(after["count"]), after["unit"]
    try:
        return (
            today + timedelta(count * _DAYS_IN[unit])
            if unit in _DAYS_IN
            else _months_on(today, count * _MONTHS_IN[unit])
        )
    except OverflowError:
        raise ValueError(f"{text!r} is beyond the calendar") from None


def _months_on(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    if year > date.max.year:
        raise OverflowError
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
