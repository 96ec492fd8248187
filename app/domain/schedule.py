"""When a letter arrives."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_CALENDAR = re.compile(r"P(?:(?P<weeks>\d{1,4})W|(?P<days>\d{1,5})D)")


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

        Raises ValueError for anything else, and for a delay of nothing.
        """
        calendar = _CALENDAR.fullmatch(text)
        if calendar:
            weeks, days = calendar["weeks"], calendar["days"]
            delay = cls(days=int(weeks) * 7 if weeks else int(days))
        else:
            delay = cls(elapsed=parse_duration(text))
        if not delay.days and delay.elapsed <= timedelta():
            raise ValueError("a delay must be longer than nothing")
        return delay


_DURATION = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
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
