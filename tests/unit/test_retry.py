"""What is done about each thing a mail server may say (docs/standards.md, S1 to S6)."""

import time
from datetime import timedelta

import pytest

from app.domain.refusal import OPEN, OUTRANKING, Reason, Words
from app.domain.retry import (
    GIVE_UP_AFTER,
    Decision,
    Delivered,
    Failed,
    Ours,
    Reply,
    RetryAt,
    Stage,
    decide,
    dropped,
    judge,
)
from tests.answers import ANSWERS, Answer
from tests.clock import NEW_YEAR

NOW = NEW_YEAR
SOON = NOW + timedelta(minutes=5)
LATER = RetryAt(SOON)
SERVER_RESTS = RetryAt(SOON, "server")
DOMAIN_RESTS = RetryAt(SOON, "domain")
FULL = RetryAt(SOON, reason=Reason.MAILBOX_FULL)
NO_SUCH_ADDRESS = Failed(Reason.NO_SUCH_ADDRESS)
CLOSED = Failed(Reason.MAILBOX_CLOSED)
TOO_LARGE = Failed(Reason.TOO_LARGE)
POLICY = Failed(Reason.POLICY)
MESSAGE = Failed(Reason.MESSAGE)
TOO_LONG = Failed(Reason.TOO_LONG)


def said(stage: Stage, code: int, enhanced: str = "") -> Decision:
    """Decide about a first refusal, with a jitter that changes nothing."""
    reply = Reply(code, enhanced, "as it says", stage)
    return decide(reply, attempts=1, first_refused_at=None, now=NOW, jitter=0.5)


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "decision"),
    [
        # S1, only what follows the final dot says that a letter is sent
        ("body", 250, "2.0.0", Delivered()),
        ("body", 250, "", Delivered()),
        ("mail", 250, "2.1.0", LATER),
        ("rcpt", 250, "2.1.5", LATER),
        ("data", 250, "", LATER),
        ("mail", 354, "", LATER),
        ("rcpt", 354, "", LATER),
        # S2, for now
        ("rcpt", 450, "", LATER),
        ("rcpt", 451, "4.3.0", LATER),
        ("data", 451, "", LATER),
        ("body", 451, "4.3.2", LATER),
        ("mail", 452, "4.3.1", LATER),
        ("rcpt", 454, "4.7.0", LATER),
        ("body", 432, "", LATER),
        # S3
        ("mail", 421, "4.7.0", SERVER_RESTS),
        ("rcpt", 421, "", SERVER_RESTS),
        ("body", 421, "4.3.2", SERVER_RESTS),
        ("rcpt", 421, "4.2.1", SERVER_RESTS),
        ("rcpt", 450, "4.7.1", LATER),
        ("rcpt", 451, "4.7.1", LATER),
        ("rcpt", 450, "4.2.1", DOMAIN_RESTS),
        ("rcpt", 452, "4.2.2", FULL),
        # S4, nobody is there
        ("rcpt", 550, "5.1.1", NO_SUCH_ADDRESS),
        ("rcpt", 550, "5.1.2", NO_SUCH_ADDRESS),
        ("rcpt", 550, "5.1.10", NO_SUCH_ADDRESS),
        ("body", 550, "5.1.1", NO_SUCH_ADDRESS),
        ("data", 554, "5.1.1", NO_SUCH_ADDRESS),
        ("rcpt", 553, "", MESSAGE),
        ("rcpt", 553, "5.1.3", NO_SUCH_ADDRESS),
        ("rcpt", 556, "", NO_SUCH_ADDRESS),
        ("rcpt", 556, "5.1.10", NO_SUCH_ADDRESS),
        ("rcpt", 550, "", MESSAGE),  # a bare 5xx blocks no address
        ("rcpt", 551, "", MESSAGE),
        ("rcpt", 550, "5.0.0", MESSAGE),
        ("rcpt", 551, "5.1.6", NO_SUCH_ADDRESS),
        # S4, this message alone
        ("mail", 552, "5.3.4", TOO_LARGE),
        ("rcpt", 552, "5.3.4", TOO_LARGE),
        ("body", 552, "5.3.4", TOO_LARGE),
        ("body", 552, "", TOO_LARGE),
        ("body", 552, "5.2.3", TOO_LARGE),
        ("body", 554, "5.6.0", MESSAGE),
        ("body", 554, "5.6.1", MESSAGE),
        ("rcpt", 550, "5.2.1", CLOSED),
        ("rcpt", 550, "5.4.1", MESSAGE),
        ("rcpt", 501, "", MESSAGE),
        ("rcpt", 501, "5.5.4", MESSAGE),
        ("mail", 555, "5.5.4", MESSAGE),
        ("data", 503, "5.5.1", MESSAGE),
        # S4, a full mailbox
        ("rcpt", 552, "5.2.2", FULL),
        ("body", 552, "5.2.2", FULL),
        ("rcpt", 550, "5.2.2", FULL),
        ("rcpt", 552, "", FULL),
        # S5
        ("rcpt", 550, "5.7.1", POLICY),
        ("rcpt", 554, "5.7.1", POLICY),
        ("rcpt", 553, "5.7.1", POLICY),
        ("rcpt", 554, "5.7.9", POLICY),
        ("body", 550, "5.7.1", POLICY),
        ("body", 554, "5.7.9", POLICY),
        ("body", 550, "", MESSAGE),
        ("body", 554, "", MESSAGE),
        ("rcpt", 554, "", MESSAGE),
        # S6
        ("mail", 550, "5.7.26", Ours()),
        ("body", 550, "5.7.26", Ours()),
        ("rcpt", 550, "5.7.60", Ours()),
        ("mail", 554, "5.0.0", Ours()),  # it has not heard the reader's address yet
        ("mail", 550, "", Ours()),
        ("mail", 550, "5.1.8", Ours()),
        ("rcpt", 553, "5.1.8", Ours()),
        ("mail", 553, "", Ours()),
        ("mail", 550, "5.1.1", Ours()),
        ("rcpt", 504, "5.5.2", Ours()),
        ("body", 550, "5.4.5", Ours()),
        ("body", 550, "5.4.6", Ours()),
        ("body", 550, "5.1.90", Ours()),
        ("connect", 554, "", Ours()),
        ("helo", 550, "5.7.1", Ours()),
        ("auth", 454, "4.7.0", LATER),
        ("mail", 530, "5.7.0", Ours()),
        ("rcpt", 530, "5.7.1", Ours()),
        ("mail", 534, "5.7.9", Ours()),
        ("mail", 535, "", Ours()),
        ("mail", 538, "5.7.11", Ours()),
        ("mail", 454, "4.7.0", LATER),
    ],
)
def test_each_row(stage: Stage, code: int, enhanced: str, decision: Decision) -> None:
    assert said(stage, code, enhanced) == decision


def test_only_an_address_that_is_not_there_is_blocked() -> None:
    assert [reason for reason in Reason if Failed(reason).blocks_address] == [Reason.NO_SUCH_ADDRESS]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer.provider} {answer.stage} {answer.said}")
def test_each_answer_of_a_real_server(answer: Answer) -> None:
    assert judge(answer.reply) is answer.reason


@pytest.mark.parametrize(
    ("about", "permanent", "reasons"),
    [
        ("reader", True, {Reason.NO_SUCH_ADDRESS, Reason.MAILBOX_CLOSED}),
        ("reader", False, {Reason.MAILBOX_FULL}),
        ("message", True, {Reason.TOO_LARGE, Reason.POLICY, Reason.MESSAGE}),
        ("us", True, {Reason.OURS}),
        ("", True, {Reason.TOO_LONG}),
        ("", False, {Reason.DEFERRED}),
    ],
)
def test_a_reason_is_about_one_of_three(about: str, permanent: bool, reasons: set[Reason]) -> None:
    assert {reason for reason in Reason if (reason.about, reason.permanent) == (about, permanent)} == reasons


def test_there_are_answers_of_many_servers() -> None:
    assert len(ANSWERS) > 120
    assert len({answer.provider for answer in ANSWERS}) > 25
    assert all(answer.source for answer in ANSWERS)


@pytest.mark.parametrize("words", [*OUTRANKING, *OPEN], ids=lambda words: words.pattern.pattern)
def test_each_entry_has_a_source_and_an_answer_that_needs_it(words: Words) -> None:
    assert words.source
    texts = [(str(each.reply.code), each.reply.text.lower()) for each in ANSWERS]
    assert any(code.startswith(words.codes) and words.pattern.search(text) for code, text in texts)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("sorry (#5.7.1)", Reason.POLICY),
        ("[5.1.1] sorry", Reason.NO_SUCH_ADDRESS),
        ("#5.2.2 sorry", Reason.MAILBOX_FULL),
        ("sorry (#4.2.2)", Reason.MESSAGE),  # of another class
        ("[192.5.1.1] sorry", Reason.MESSAGE),
    ],
)
def test_an_enhanced_code_in_brackets_counts(said: str, reason: Reason) -> None:
    assert judge(Reply(550, "", said, "rcpt")) is reason
    assert judge(Reply(550, "5.0.0", said, "rcpt")) is reason
    assert judge(Reply(550, "5.1.6", said, "rcpt")) is Reason.NO_SUCH_ADDRESS


@pytest.mark.parametrize("address", ["relaying.denied@x.test", "user-unknown@x.test", "allowed_rcpthosts@x.test"])
def test_an_address_is_not_read_as_words(address: str) -> None:
    assert judge(Reply(550, "", f"<{address}>: no", "rcpt")) is Reason.MESSAGE


@pytest.mark.parametrize("said", ["relay to ", "exceeds ", "daily a b ", "max emails ", "sender", "#" * 9, "[5.7."])
def test_a_long_answer_takes_no_time(said: str) -> None:
    started = time.process_time()
    judge(Reply(550, "", said * 100_000, "rcpt"))
    assert time.process_time() - started < 0.5


def wait(attempts: int, jitter: float = 0.5) -> timedelta:
    decision = dropped(attempts=attempts, first_refused_at=NOW, now=NOW, jitter=jitter)
    assert isinstance(decision, RetryAt)
    assert decision.slow is None
    return decision.at - NOW


def test_the_wait_doubles_up_to_four_hours() -> None:
    assert [wait(attempts) / timedelta(minutes=1) for attempts in range(1, 9)] == [5, 10, 20, 40, 80, 160, 240, 240]
    assert wait(100_000) == timedelta(hours=4)


def test_the_wait_is_spread_by_a_fifth_to_either_side() -> None:
    assert wait(1, jitter=0.0) == timedelta(minutes=4)
    assert timedelta(minutes=5.99) < wait(1, jitter=0.999) < timedelta(minutes=6)


def test_a_refusal_waits_as_a_lost_connection_does() -> None:
    reply = Reply(451, "4.7.1", "greylisted", "rcpt")
    for attempts in range(1, 9):
        same = decide(reply, attempts=attempts, first_refused_at=NOW, now=NOW, jitter=0.3)
        assert same == dropped(attempts=attempts, first_refused_at=NOW, now=NOW, jitter=0.3)


def after(age: timedelta, give_up_after: timedelta = GIVE_UP_AFTER) -> Decision:
    reply = Reply(450, "4.2.1", "slowly", "rcpt")
    return decide(reply, attempts=30, first_refused_at=NOW - age, now=NOW, jitter=0.5, give_up_after=give_up_after)


def test_after_five_days_of_refusals_it_fails_and_blocks_nobody() -> None:
    assert after(timedelta(days=5)) == TOO_LONG
    assert after(timedelta(days=6)) == TOO_LONG
    assert after(timedelta(hours=1), give_up_after=timedelta(hours=1)) == TOO_LONG


def test_the_last_try_is_when_the_five_days_end() -> None:
    assert after(timedelta(days=5, hours=-1)) == RetryAt(NOW + timedelta(hours=1), "domain")
    assert after(timedelta(days=4)) == RetryAt(NOW + timedelta(hours=4), "domain")


def test_a_clock_set_back_gives_up_on_nothing() -> None:
    assert after(timedelta(days=-400)) == RetryAt(NOW + timedelta(hours=4), "domain")


def test_what_is_permanent_or_ours_does_not_wait_for_the_five_days() -> None:
    old = NOW - timedelta(days=9)
    for code, decision in ((556, NO_SUCH_ADDRESS), (535, Ours())):
        reply = Reply(code, "", "", "rcpt")
        assert decide(reply, attempts=9, first_refused_at=old, now=NOW, jitter=0.5) == decision
