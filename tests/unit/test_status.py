"""The states of a delivery, and the one word for a whole letter."""

import itertools
import re

import pytest

from app.domain.status import Action, Occasion, Status, letter_status

S = Status


def test_every_state_is_told_who_moves_it_on_and_ends_are_ends() -> None:
    """The docstring's table names each state, and none that is not there."""
    rows = re.findall(r"^ *\| ([a-z, ()]+?) +\| ([a-z]+) +\|", Status.__doc__ or "", re.MULTILINE)
    starts = {name for row in rows for name in row[0].strip("()").split(", ")} - {"from"}
    ends = {row[1] for row in rows} - {"to"}
    assert starts - {"new"} <= {status.value for status in Status}
    assert ends == {status.value for status in Status}
    assert {status.value for status in Status} - starts == {"sent"}


def test_what_an_operator_may_do_is_what_the_table_says() -> None:
    rows = re.findall(r"^ *\| ([a-z, ]+?) +\| ([a-z]+) +\|(.*)", Status.__doc__ or "", re.MULTILINE)
    told = {(start, end) for starts, end, who in rows if "operator" in who for start in starts.split(", ")}
    assert {(start, action.ends_at) for action in Action for start in action.begins_at} == told


def test_all_but_the_letter_itself_are_notices_about_it() -> None:
    assert {occasion for occasion in Occasion if not occasion.is_notice} == {Occasion.FIRST, Occasion.SECOND}


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (S.SCHEDULED, S.SCHEDULED, S.SCHEDULED),
        (S.CLAIMED, S.SCHEDULED, S.CLAIMED),
        (S.UNCERTAIN, S.SENT, S.UNCERTAIN),
        (S.HELD, S.HELD, S.HELD),
        (S.SENT, S.SCHEDULED, S.SCHEDULED),
        (S.SENT, S.HELD, S.HELD),
        (S.SENT, S.SENT, S.SENT),
        (S.SENT, S.FAILED, S.SENT),
        (S.SENT, S.CANCELLED, S.SENT),
        (S.FAILED, S.HELD, S.HELD),
        (S.FAILED, S.SENT, S.SENT),
        (S.FAILED, S.FAILED, S.FAILED),
        (S.FAILED, S.CANCELLED, S.FAILED),
        (S.CANCELLED, S.CANCELLED, S.CANCELLED),
        (S.SENT, None, S.SENT),
        (S.SCHEDULED, None, S.SCHEDULED),
        (S.CANCELLED, None, S.CANCELLED),
    ],
)
def test_a_letter_is_where_its_next_delivery_is(first: Status, second: Status | None, word: Status) -> None:
    assert letter_status(first, second) is word


def test_a_letter_s_word_is_always_that_of_one_of_its_deliveries() -> None:
    for first, second in itertools.product(Status, [*Status, None]):
        assert letter_status(first, second) in (first, second)
