"""A selection, and the query that says the same."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.delivery_filter import COMING, ENDED, DeliveryFilter, FilterError, InvalidFilter, read_filter
from app.domain.status import HeldReason, Occasion, Status

SEOUL = ZoneInfo("Asia/Seoul")
MAC = "0123456789abcdef" * 2

_moments = st.datetimes(datetime(1971, 1, 2), datetime(2990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def _selections(draw: st.DrawFn) -> DeliveryFilter:
    since = draw(st.none() | _moments)
    length = draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=9000)))
    until = draw(st.none() | (st.just(since + length) if since else _moments))
    kind = draw(st.sampled_from(["", "address_hmac", "domain_hmac"]))
    return DeliveryFilter(
        frozenset(draw(st.sets(st.sampled_from(Status), min_size=1))),
        frozenset(draw(st.sets(st.sampled_from(Occasion), min_size=1))),
        frozenset(draw(st.sets(st.sampled_from(HeldReason), min_size=1))),
        since,
        until,
        message_id=draw(st.sampled_from(["", "<Ab+c&d=%@slow.example.org>"])),
        **({kind: MAC} if kind else {}),
    )


@given(_selections())
def test_a_selection_is_read_as_it_was_written(selection: DeliveryFilter) -> None:
    assert read_filter(parse_qsl(str(selection)), SEOUL) == selection


def test_nothing_asked_for_means_everything() -> None:
    assert read_filter([], SEOUL) == read_filter([("state", ""), ("since", " ")], SEOUL) == DeliveryFilter()
    assert str(DeliveryFilter()) == ""


def test_who_asks_for_a_reason_alone_means_what_is_held_for_it() -> None:
    overdue = frozenset({HeldReason.OVERDUE})
    assert read_filter([("reason", "overdue")], SEOUL) == DeliveryFilter(frozenset({Status.HELD}), reasons=overdue)
    both = frozenset({Status.HELD, Status.FAILED})
    asked = [("state", "held"), ("reason", "overdue"), ("state", "failed")]
    assert read_filter(asked, SEOUL) == DeliveryFilter(both, reasons=overdue)


def test_what_is_to_come_and_what_has_ended_is_everything() -> None:
    assert set(COMING) | set(ENDED) == set(Status)


def test_a_time_is_the_desks_own_unless_it_says_otherwise() -> None:
    asked = [("since", "2026-01-01T09:30"), ("until", "2026-01-02T00:00+01:00")]
    selection = read_filter(asked, SEOUL)
    assert selection.since == datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    assert selection.until == datetime(2026, 1, 1, 23, tzinfo=UTC)
    assert str(selection) == "since=2026-01-01T00%3A30Z&until=2026-01-01T23%3A00Z"
    day = read_filter([("since", "2026-01-01")], SEOUL)
    assert day.since == datetime(2025, 12, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value", "flaw"),
    [
        ("state", "secret", FilterError.UNKNOWN),
        ("occasion", "third", FilterError.UNKNOWN),
        ("since", "yesterday", FilterError.NO_TIME),
        ("since", "0001-01-01", FilterError.NO_TIME),
        ("until", "9999-12-31T23:59-12:00", FilterError.NO_TIME),
        ("to", "minji@example.org", FilterError.UNKNOWN),
        ("to", f"address-{MAC}0", FilterError.UNKNOWN),
        ("message_id", "minji@example.org", FilterError.NO_MESSAGE_ID),
        ("message_id", "<a\0b@example.org>", FilterError.NO_MESSAGE_ID),
        ("message_id", f"<{'a' * 999}@example.org>", FilterError.NO_MESSAGE_ID),
    ],
)
def test_what_is_none_of_ours_is_named(name: str, value: str, flaw: FilterError) -> None:
    with pytest.raises(InvalidFilter) as refused:
        read_filter([("state", "held"), (name, value)], SEOUL)
    assert refused.value.flaws == {name: flaw}


def test_a_span_ends_after_it_begins() -> None:
    with pytest.raises(InvalidFilter) as refused:
        read_filter([("since", "2026-01-02"), ("until", "2026-01-02")], SEOUL)
    assert refused.value.flaws == {"until": FilterError.ENDS_FIRST}


def test_only_what_has_ended_is_looked_at_from_its_end() -> None:
    assert DeliveryFilter(frozenset({Status.SENT, Status.FAILED})).has_ended
    assert not DeliveryFilter(frozenset({Status.SENT, Status.HELD})).has_ended
