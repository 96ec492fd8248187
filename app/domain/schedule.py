"""When a letter arrives."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

LONGEST = timedelta(days=36_500)
_CALENDAR = re.compile(r"P(?:(?P<weeks>\d{1,4})W|(?P<days>\d{1,5})D)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after writing a letter arrives.

    `days` are calendar days in the letter's own time zone, at the hour of writing; `elapsed` is
    time on a stopwatch. One of them is zero.
    """

    days: int = 0
    elapsed: timedelta = timedelta()

    @classmethod
    def parse(cls, text: str) -> "Delay":
        """Read an ISO 8601 duration such as `P7D`, `P2W` or `PT5S`.

        Raises ValueError for anything else, for a delay of nothing, and for one beyond LONGEST.
        """
        calendar = _CALENDAR.fullmatch(text)
        if calendar:
            weeks, days = calendar["weeks"], calendar["days"]
            delay = cls(days=int(weeks) * 7 if weeks else int(days))
        else:
            delay = cls(elapsed=parse_duration(text))
        if delay.nominal <= timedelta():
            raise ValueError("a delay must be longer than nothing")
        if delay.nominal > LONGEST:
            raise ValueError(f"a delay is at most {LONGEST.days} days")
        return delay

    @property
    def nominal(self) -> timedelta:
        """How long it is where no clock changes to or from summer time."""
        return timedelta(days=self.days) + self.elapsed

    def always_beyond(self, other: "Delay") -> bool:
        """Whether a letter arrives later by this one than by `other`, whenever and wherever it was written.

        Seven calendar days and 169 hours end at once where the clocks go back between; a zone
        that moves across the date line shifts by a whole day.
        """
        same_kind = bool(self.days) == bool(other.days)
        return self.nominal > other.nominal + (timedelta() if same_kind else timedelta(days=1))


_DURATION = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration of weeks, days, hours, minutes and seconds as elapsed time.

    Raises ValueError for anything else: months and years have no fixed length.
    """
    match = _DURATION.fullmatch(text)
    parts = {name: float(value) for name, value in match.groupdict().items() if value} if match else {}
    if not parts:
        raise ValueError(f"{text!r} is no ISO 8601 duration such as P7D or PT30S")
    try:
        return timedelta(**parts)
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def arrival(written_at: datetime, delay: Delay, zone: ZoneInfo) -> datetime:
    """Return when a letter written at `written_at` arrives, in UTC.

    Calendar days keep the hour of writing in `zone`. Where that hour does not exist on the day
    (the clocks went forward) it is the later reading, where it comes twice it is the first:
    both are what `fold=0` means (PEP 495).
    """
    if not delay.days:
        return written_at + delay.elapsed
    there = written_at.astimezone(zone).replace(tzinfo=None) + timedelta(days=delay.days)
    return there.replace(tzinfo=zone, fold=0).astimezone(UTC)
