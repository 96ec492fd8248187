"""When a letter arrives: the same hour on the right day, whatever the clocks do between."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.domain.schedule import LONGEST, Delay, arrival, arrival_on, day_of
from app.settings.types import ArrivalDelay

HOUR = timedelta(hours=1)
READ = TypeAdapter[Delay](ArrivalDelay).validate_python
ZONES = ["Asia/Seoul", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]
# Around the changes of New York, Lord Howe (half an hour) and Apia (which left out 30 December 2011).
_MOMENTS = st.one_of(
    st.datetimes(datetime(2010, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - a zone is added below
    *(
        st.datetimes(day - timedelta(days=35), day + timedelta(days=2))
        for day in (
            datetime(2026, 3, 8),  # noqa: DTZ001
            datetime(2026, 11, 1),  # noqa: DTZ001
            datetime(2026, 4, 5),  # noqa: DTZ001
            datetime(2026, 10, 4),  # noqa: DTZ001
            datetime(2011, 12, 30),  # noqa: DTZ001
        )
    ),
)


def _exists(local: datetime, zone: ZoneInfo) -> bool:
    there = local.replace(tzinfo=zone)
    return there.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local


@pytest.mark.parametrize("name", ZONES)
@given(moment=_MOMENTS, days=st.sampled_from([1, 7, 30]))
def test_a_letter_arrives_at_the_hour_it_was_written(name: str, moment: datetime, days: int) -> None:
    zone = ZoneInfo(name)
    written_at = moment.replace(tzinfo=UTC)
    arrives = arrival(written_at, Delay(days=days), zone)
    wanted = written_at.astimezone(zone).replace(tzinfo=None) + timedelta(days=days)
    there = arrives.astimezone(zone)
    assert arrives.tzinfo is UTC
    if _exists(wanted, zone):
        assert there.replace(tzinfo=None) == wanted
        assert there.fold == 0, "of an hour that comes twice it is the first"
    else:
        later = there.replace(tzinfo=None) - wanted
        assert timedelta() < later <= timedelta(days=1), "of an hour that does not come it is later"
        before = wanted.replace(tzinfo=zone, fold=0).utcoffset()
        assert arrives == (wanted - (before or timedelta())).replace(tzinfo=UTC)


@pytest.mark.parametrize("name", ZONES)
@given(moment=_MOMENTS, days=st.integers(1, 3653))
def test_a_chosen_day_is_the_same_as_so_many_days_later(name: str, moment: datetime, days: int) -> None:
    written_at, zone = moment.replace(tzinfo=UTC), ZoneInfo(name)
    day = day_of(f"P{days}D", written_at.astimezone(zone).date())
    assert arrival_on(written_at, day, zone) == arrival(written_at, Delay(days=days), zone)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2027-03-01", date(2027, 3, 1)),
        ("P1D", date(2024, 3, 1)),
        ("P2W", date(2024, 3, 14)),
        ("P12M", date(2025, 2, 28)),
        ("P13M", date(2025, 3, 29)),
        ("P1Y", date(2025, 2, 28)),
        ("P4Y", date(2028, 2, 29)),
    ],
)
def test_a_day_is_read(text: str, day: date) -> None:
    assert day_of(text, date(2024, 2, 29)) == day


@given(st.text(alphabet="PDWMY-0123456789T", max_size=11))
@example("20270301")
@example("2027-W01-1")
@example("2027-02-30")
@example("P99999Y")
@example("P99999W")
@example("٢٠٢٧-٠٣-٠١")
def test_no_text_breaks_the_reading_of_a_day(text: str) -> None:
    try:
        day = day_of(text, date(2026, 1, 1))
    except ValueError:
        return
    assert text == day.isoformat() or text.startswith("P")


CHANGES = [
    ("Asia/Seoul", "2026-01-01T09:30:00", 7, "2026-01-08T09:30:00", 9 * HOUR),
    ("America/New_York", "2026-03-01T20:00:00", 7, "2026-03-08T20:00:00", -4 * HOUR),
    ("America/New_York", "2026-03-01T02:30:00", 7, "2026-03-08T03:30:00", -4 * HOUR),  # a gap
    ("America/New_York", "2026-10-25T01:30:00", 7, "2026-11-01T01:30:00", -4 * HOUR),  # twice
    ("Australia/Lord_Howe", "2026-09-27T02:15:00", 7, "2026-10-04T02:45:00", 11 * HOUR),  # a gap of half an hour
    ("Australia/Lord_Howe", "2026-03-29T01:45:00", 7, "2026-04-05T01:45:00", 11 * HOUR),
    ("Pacific/Apia", "2011-12-23T10:00:00", 7, "2011-12-31T10:00:00", 14 * HOUR),  # a day that never was
    ("Pacific/Apia", "2011-12-29T10:00:00", 7, "2012-01-05T10:00:00", 14 * HOUR),
]
"""Zone, when it was written, days, when it arrives, and how far those clocks are ahead then."""


@pytest.mark.parametrize(("zone", "written", "days", "arrives", "offset"), CHANGES)
def test_the_changes_that_everybody_asks_about(
    zone: str, written: str, days: int, arrives: str, offset: timedelta
) -> None:
    written_at = datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    there = arrival(written_at, Delay(days=days), ZoneInfo(zone)).astimezone(ZoneInfo(zone))
    assert there.replace(tzinfo=None) == datetime.fromisoformat(arrives)
    assert there.utcoffset() == offset


@given(moment=_MOMENTS, elapsed=st.timedeltas(timedelta(seconds=1), timedelta(days=400)), zone=st.timezones())
def test_elapsed_time_knows_no_zone(moment: datetime, elapsed: timedelta, zone: ZoneInfo) -> None:
    written_at = moment.replace(tzinfo=UTC)
    assert arrival(written_at, Delay(elapsed=elapsed), zone) == written_at + elapsed


_DELAYS = st.one_of(
    st.builds(lambda days: Delay(days=days), st.integers(1, 40)),
    st.builds(lambda hours: Delay(elapsed=hours * HOUR), st.integers(1, 40 * 24)),
)


@given(moment=_MOMENTS, first=_DELAYS, second=_DELAYS, name=st.sampled_from(ZONES))
@example(datetime(2026, 10, 26, 12), Delay(elapsed=169 * HOUR), Delay(days=7), "America/New_York")  # noqa: DTZ001
def test_a_second_delay_that_is_always_beyond_arrives_second(
    moment: datetime, first: Delay, second: Delay, name: str
) -> None:
    """The ledger's constraints refuse a letter whose second arrival is not later than its first."""
    written_at, zone = moment.replace(tzinfo=UTC), ZoneInfo(name)
    one, other = arrival(written_at, first, zone), arrival(written_at, second, zone)
    assert one > written_at
    if second.always_beyond(first):
        assert other > one


def test_days_and_hours_are_compared_with_a_day_of_slack() -> None:
    week, hours = Delay(days=7), Delay(elapsed=169 * HOUR)
    assert not hours.always_beyond(week)
    assert Delay(elapsed=193 * HOUR).always_beyond(week)
    assert Delay(days=9).always_beyond(hours)
    assert Delay(days=8).always_beyond(week)
    assert Delay(elapsed=170 * HOUR).always_beyond(hours)
    assert not week.always_beyond(week)


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("P7D", Delay(days=7)),
        ("P2W", Delay(days=14)),
        ("PT5S", Delay(elapsed=timedelta(seconds=5))),
        ("PT1H30M", Delay(elapsed=timedelta(minutes=90))),
        ("P1DT12H", Delay(elapsed=timedelta(hours=36))),
        ("PT0.25S", Delay(elapsed=timedelta(milliseconds=250))),
        ("P36500D", Delay(days=36_500)),
    ],
)
def test_a_delay_is_read(text: str, delay: Delay) -> None:
    assert READ(text) == delay


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "P",
            "PT",
            "7",
            "7D",
            "P7",
            "P1Y",
            "P1M",
            "P-7D",
            "-P7D",
            "P7D ",
            " P7D",
            "p7d",
            "P7D\n",
            "P1MT1H",
            "P1Y1D",
            "7 days",
            "12:30",
        ),
        *("P٧D", "P0D", "PT0S", "P36501D", "P9999W", "PT999999999999H", f"PT{'9' * 400}S"),
    ],
)
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        READ(text)


@given(
    weeks=st.integers(0, 50),
    days=st.integers(0, 50),
    hours=st.integers(0, 50),
    minutes=st.integers(0, 50),
    seconds=st.integers(0, 50),
)
def test_durations_are_sums_of_their_parts(weeks: int, days: int, hours: int, minutes: int, seconds: int) -> None:
    text = f"P{weeks}W{days}DT{hours}H{minutes}M{seconds}S"
    total = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    assume(total)
    assert READ(text).nominal == total


@given(st.text(alphabet="PTWDHMS0123456789.", max_size=12))
def test_no_text_breaks_the_reading(text: str) -> None:
    try:
        delay = READ(text)
    except ValueError:
        return
    assert timedelta() < delay.nominal <= LONGEST
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert arrival(noon, delay, ZoneInfo("Asia/Seoul")) > noon
