"""Moments as the operator reads them: short, in the operator's zone, and how far away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from babel.dates import format_timedelta, parse_pattern

from app.rendering import locale

_PATTERNS = {"en": "EEE d MMM y, HH:mm", "ko": "y. M. d. (EEE) HH:mm"}
_NOTABLE = timedelta(minutes=5)
_UNITS: dict[Literal["day", "hour", "minute", "second"], timedelta] = {
    "day": timedelta(days=2),
    "hour": timedelta(hours=2),
    "minute": timedelta(minutes=2),
    "second": timedelta(),
}


@dataclass(frozen=True, slots=True)
class Moments:
    """Writes moments for one page that was made at `now`."""

    zone: ZoneInfo
    language: str
    now: datetime

    def date(self, moment: datetime) -> str:
        """Return a moment to the minute; the page names the zone once."""
        return self._written(moment, _PATTERNS[self.language])

    def second(self, moment: datetime) -> str:
        """Return a moment to the second, as one looks for it in a mail server's log."""
        return self._written(moment, f"{_PATTERNS[self.language]}:ss")

    def hour(self, moment: datetime) -> str:
        """Return the time of day: `14:15`."""
        return self._written(moment, "HH:mm")

    def _written(self, moment: datetime, pattern: str) -> str:
        return parse_pattern(pattern).apply(moment.astimezone(self.zone), locale(self.language))

    def distance(self, moment: datetime) -> str:
        """Return how far away a moment is: `in 7 days`, `3 minutes ago`."""
        return span(moment - self.now, self.language, add_direction=True)

    def differ(self, one: datetime, other: datetime) -> bool:
        """Return whether two moments are so far apart that both are worth showing."""
        return abs(one - other) >= _NOTABLE

    @property
    def zone_name(self) -> str:
        """Return the zone with its present offset: `Asia/Seoul (+09:00)`."""
        offset = self.now.astimezone(self.zone).isoformat()[-6:]
        return f"{self.zone.key.replace('_', ' ')} ({offset})"


def span(length: timedelta, language: str, *, add_direction: bool = False) -> str:
    """Return a span in one unit, of which there are at least two: `90 minutes`, `30 days`."""
    unit = next(unit for unit, least in _UNITS.items() if abs(length) >= least)
    return format_timedelta(length, unit, threshold=float("inf"), add_direction=add_direction, locale=locale(language))
