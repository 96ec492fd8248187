"""A letter's way on the postmark page: stop by stop, and what a server's refusal means."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.letter import Draft
from app.domain.refusal import Reason
from app.domain.status import HeldReason, Occasion, Status
from app.store.letters import DeliveryState, StoredLetter
from app.templating import refusal_text
from app.web.timeline import timeline
from tests.clock import NEW_YEAR as NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST = DeliveryState(
    occasion=Occasion.FIRST,
    status=Status.SCHEDULED,
    status_at=NOW,
    promised_at=NOW + 7 * DAY,
    due_at=NOW + 7 * DAY,
    sent_at=None,
    held_reason=None,
    attempts=0,
    last_reply=None,
    reason=None,
    stopped=False,
)
SECOND = replace(FIRST, occasion=Occasion.SECOND, promised_at=NOW + 30 * DAY)
LETTER = StoredLetter(
    draft=Draft(recipient_email="sujin@example.org", body="Dear Sujin", timezone="Asia/Seoul"),
    written_at=NOW,
    send_at=FIRST.promised_at,
    second_send_at=SECOND.promised_at,
    sealed_at=NOW + HOUR,
    confirmed_at=None,
    deliveries=(FIRST, SECOND),
)


def way(letter: StoredLetter = LETTER, *, after: timedelta = 2 * HOUR) -> list[tuple[str, str]]:
    return [(stop.kind, stop.state) for stop in timeline(letter, NOW + after, "en")]


def test_an_open_letter_becomes_a_sealed_one() -> None:
    ahead = [("first", "ahead"), ("second", "ahead")]
    assert way(after=HOUR / 2) == [("written", "done"), ("sealing", "now"), *ahead]
    assert way() == [("written", "done"), ("sealing", "done"), *ahead]
    assert way(replace(LETTER, sealed_at=None)) == [("written", "done"), *ahead]


def test_a_letter_that_was_called_back_was_never_sealed() -> None:
    gone = tuple(replace(each, status=Status.CANCELLED) for each in (FIRST, SECOND))
    assert way(replace(LETTER, deliveries=gone)) == [("written", "done"), ("first", "off"), ("second", "off")]


def test_dates_are_those_of_the_writers_clock_and_language() -> None:
    assert [stop.day for stop in timeline(LETTER, NOW, "en")] == [
        "1 Jan, 18:30",
        "1 Jan, 19:30",
        "8 Jan 2026",
        "31 Jan 2026",
    ]
    assert [stop.day for stop in timeline(LETTER, NOW, "ko")][1:3] == ["1. 1. 19:30", "2026. 1. 8."]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"status": Status.CLAIMED}, "now"),
        ({"status": Status.SENT, "sent_at": NOW}, "done"),
        ({"attempts": 1}, "trouble"),
        ({"status": Status.UNCERTAIN}, "trouble"),
        ({"status": Status.FAILED}, "trouble"),
        ({"status": Status.HELD, "held_reason": HeldReason.OVERDUE}, "trouble"),
        ({"status": Status.CANCELLED}, "off"),
    ],
)
def test_each_state_has_its_look(changes: dict[str, object], state: str) -> None:
    moved = replace(FIRST, **changes)  # type: ignore[arg-type]
    assert way(replace(LETTER, deliveries=(moved, SECOND)))[2] == ("first", state)


@pytest.mark.parametrize("reason", Reason)
def test_what_was_judged_is_told_in_plain_words(reason: Reason) -> None:
    said = refusal_text(reason, "en")
    assert ("no such address" in said) == (reason is Reason.NO_SUCH_ADDRESS)
    assert ("yet" in said or "at the moment" in said) == (not reason.permanent or reason is Reason.OURS)
    assert re.search("[가-힣]", refusal_text(reason, "ko"))
    assert len({refusal_text(each, language) for each in Reason for language in ("en", "ko")}) == 2 * len(Reason)
