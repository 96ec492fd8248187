"""Numbers and days as the operator reads them, in the page's language."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from math import floor

from babel.dates import format_date, get_day_names
from babel.numbers import format_compact_decimal, format_decimal
from babel.units import format_unit

from app.rendering import locale
from app.web.moments import span

_COMPACT = 10_000
_DAYS = {"en": "EEE d MMM", "ko": "M. d. (EEE)"}
_SHORT_DAYS = {"en": "d MMM", "ko": "M. d."}


@dataclass(frozen=True, slots=True)
class Numbers:
    """Writes numbers, and days without their year, for one page."""

    language: str

    def full(self, number: int) -> str:
        return _full(number, self.language)

    def short(self, number: int) -> str:
        """Return a number for a narrow place: `12.3K`, `1.2만`."""
        return self.full(number) if number < _COMPACT else _compact(number, self.language)

    def share(self, share: float) -> str:
        """Return a share in per cent, rounded down: what is not all is not called so."""
        return f"{format_decimal(floor(share * 1000) / 10, '#,##0.#', locale=locale(self.language))} %".replace(
            " ", "" if self.language == "ko" else "\N{NARROW NO-BREAK SPACE}"
        )

    def seconds(self, seconds: float) -> str:
        """Return how long something took, in the unit that suits it: `40 ms`, `1.2 s`, `3 min`."""
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
        """Return the day of the month, with the month `in_full` or where it begins."""
        return format_date(
            day, _SHORT_DAYS[self.language] if in_full or day.day == 1 else "d", locale=locale(self.language)
        )

    @property
    def weekdays(self) -> list[str]:
        """The names of the days from Monday on, short."""
        names = get_day_names("abbreviated", locale=locale(self.language))
        return [names[number] for number in range(7)]


# A page shows sixty days, most of them with the same few numbers; babel takes a tenth of a millisecond for each.
@lru_cache(1024)
def _full(number: int, language: str) -> str:
    return format_decimal(number, locale=locale(language))


@lru_cache(1024)
def _compact(number: int, language: str) -> str:
    return format_compact_decimal(number, locale=locale(language), fraction_digits=1)
