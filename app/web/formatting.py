"""Dates, times and numbers for the admin page, in the operator's zone and language."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from math import floor
from typing import Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_timedelta, get_day_names, parse_pattern
from babel.numbers import format_compact_decimal, format_decimal
from babel.units import format_unit

from app.templating import locale

_PATTERNS = {"en": "EEE d MMM y, HH:mm", "ko": "y. M. d. (EEE) HH:mm"}
_NOTABLE = timedelta(minutes=5)
_UNITS: dict[Literal["day", "hour", "minute", "second"], timedelta] = {
    "day": timedelta(days=2),
    "hour": timedelta(hours=2),
    "minute": timedelta(minutes=2),
    "second": timedelta(),
}


@dataclass(frozen=True, slots=True)
class DateFormatter:
    """For one page that was rendered at `now`."""

    zone: ZoneInfo
    language: str
    now: datetime

    def date(self, moment: datetime) -> str:
        """To the minute."""
        return self._written(moment, _PATTERNS[self.language])

    def second(self, moment: datetime) -> str:
        """To the second, as in a mail server's log."""
        return self._written(moment, f"{_PATTERNS[self.language]}:ss")

    def hour(self, moment: datetime) -> str:
        """`14:15`."""
        return self._written(moment, "HH:mm")

    def _written(self, moment: datetime, pattern: str) -> str:
        return parse_pattern(pattern).apply(moment.astimezone(self.zone), locale(self.language))

    def distance(self, moment: datetime) -> str:
        """`in 7 days`, `3 minutes ago`."""
        return span(moment - self.now, self.language, add_direction=True)

    def differ(self, one: datetime, other: datetime) -> bool:
        """Whether two moments are far enough apart to show both."""
        return abs(one - other) >= _NOTABLE

    @property
    def zone_name(self) -> str:
        """The zone with its present offset: `Asia/Seoul (+09:00)`."""
        offset = self.now.astimezone(self.zone).isoformat()[-6:]
        return f"{self.zone.key.replace('_', ' ')} ({offset})"


def span(length: timedelta, language: str, *, add_direction: bool = False) -> str:
    """Return a duration in one unit, of which there are at least two: `90 minutes`, `30 days`."""
    unit = next(unit for unit, least in _UNITS.items() if abs(length) >= least)
    return format_timedelta(length, unit, threshold=float("inf"), add_direction=add_direction, locale=locale(language))


_COMPACT = 10_000
_DAYS = {"en": "EEE d MMM", "ko": "M. d. (EEE)"}
_SHORT_DAYS = {"en": "d MMM", "ko": "M. d."}


@dataclass(frozen=True, slots=True)
class NumberFormatter:
    language: str

    def full(self, number: int) -> str:
        return _full(number, self.language)

    def short(self, number: int) -> str:
        """`12.3K`, `1.2만`."""
        return self.full(number) if number < _COMPACT else _compact(number, self.language)

    def share(self, share: float) -> str:
        """In per cent, rounded down: 99.9 is not shown as 100."""
        return f"{format_decimal(floor(share * 1000) / 10, '#,##0.#', locale=locale(self.language))} %".replace(
            " ", "" if self.language == "ko" else "\N{NARROW NO-BREAK SPACE}"
        )

    def seconds(self, seconds: float) -> str:
        """`40 ms`, `1.2 s`, `3 min`."""
        if seconds < 1:
            return self._measured(round(seconds * 1000), "millisecond")
        if seconds < 120:
            return self._measured(round(seconds, 1), "second")
        return self._measured(round(seconds / 60), "minute")

    def _measured(self, amount: float, unit: str) -> str:
        return format_unit(amount, f"duration-{unit}", length="short", locale=locale(self.language))

    def span(self, seconds: float) -> str:
        return span(timedelta(seconds=seconds), self.language)

    def day(self, day: date) -> str:
        return format_date(day, _DAYS[self.language], locale=locale(self.language))

    def day_of_month(self, day: date, *, in_full: bool) -> str:
        """With the month if `in_full`, or on its first day."""
        return format_date(
            day, _SHORT_DAYS[self.language] if in_full or day.day == 1 else "d", locale=locale(self.language)
        )

    @property
    def weekdays(self) -> list[str]:
        """Short names from Monday on."""
        names = get_day_names("abbreviated", locale=locale(self.language))
        return [names[number] for number in range(7)]


# A page shows sixty days, most of them with the same few numbers; babel takes a tenth of a millisecond for each.
@lru_cache(1024)
def _full(number: int, language: str) -> str:
    return format_decimal(number, locale=locale(language))


@lru_cache(1024)
def _compact(number: int, language: str) -> str:
    return format_compact_decimal(number, locale=locale(language), fraction_digits=1)
