"""What is done about each thing a mail server may say (docs/standards.md, S1 to S6)."""

from datetime import timedelta

import pytest

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
)
from tests.clock import NEW_YEAR

NOW = NEW_YEAR
SOON = NOW + timedelta(minutes=5)
LATER = RetryAt(SOON)
SERVER_RESTS = RetryAt(SOON, "server")
DOMAIN_RESTS = RetryAt(SOON, "domain")
NO_SUCH_ADDRESS = Failed("no_such_address")
POLICY = Failed("policy")
MESSAGE = Failed("message")


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
        ("rcpt", 452, "4.2.2", LATER),
        # S4, nobody is there
        ("rcpt", 550, "5.1.1", NO_SUCH_ADDRESS),
        ("rcpt", 550, "5.1.2", NO_SUCH_ADDRESS),
        ("rcpt", 550, "5.1.10", NO_SUCH_ADDRESS),
        ("body", 550, "5.1.1", NO_SUCH_ADDRESS),
        ("data", 554, "5.1.1", NO_SUCH_ADDRESS),
        ("rcpt", 553, "", NO_SUCH_ADDRESS),
        ("rcpt", 553, "5.1.3", NO_SUCH_ADDRESS),
        ("rcpt", 556, "", NO_SUCH_ADDRESS),
        ("rcpt", 556, "5.1.10", NO_SUCH_ADDRESS),
        ("rcpt", 550, "", POLICY),  # "550 relay not permitted" speaks of us, and must not block every reader
        ("rcpt", 550, "5.0.0", POLICY),
        ("rcpt", 551, "5.1.6", NO_SUCH_ADDRESS),
        # S4, this message alone
        ("mail", 552, "5.3.4", MESSAGE),
        ("rcpt", 552, "5.3.4", MESSAGE),
        ("body", 552, "5.3.4", MESSAGE),
        ("body", 552, "", MESSAGE),
        ("body", 552, "5.2.3", MESSAGE),
        ("body", 554, "5.6.0", MESSAGE),
        ("body", 554, "5.6.1", MESSAGE),
        ("rcpt", 550, "5.2.1", MESSAGE),
        ("rcpt", 550, "5.4.1", MESSAGE),
        ("rcpt", 501, "", MESSAGE),
        ("rcpt", 501, "5.5.4", MESSAGE),
        ("mail", 555, "5.5.4", MESSAGE),
        ("data", 503, "5.5.1", MESSAGE),
        # S4, a full mailbox
        ("rcpt", 552, "5.2.2", LATER),
        ("body", 552, "5.2.2", LATER),
        ("rcpt", 550, "5.2.2", LATER),
        ("rcpt", 552, "", LATER),
        # S5
        ("rcpt", 550, "5.7.1", POLICY),
        ("rcpt", 554, "5.7.1", POLICY),
        ("rcpt", 553, "5.7.1", POLICY),
        ("mail", 550, "5.7.26", POLICY),
        ("body", 550, "5.7.1", POLICY),
        ("body", 554, "5.7.9", POLICY),
        ("body", 550, "", POLICY),
        ("body", 554, "", POLICY),
        ("rcpt", 554, "", POLICY),
        ("mail", 554, "5.0.0", POLICY),
        ("mail", 550, "", POLICY),
        ("mail", 550, "5.1.8", POLICY),
        ("rcpt", 553, "5.1.8", POLICY),
        ("mail", 553, "", POLICY),  # it has not heard the reader's address yet
        ("mail", 550, "5.1.1", POLICY),
        # S6
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
    assert [f.reason for f in (NO_SUCH_ADDRESS, POLICY, MESSAGE, Failed("too_long")) if f.blocks_address] == [
        "no_such_address"
    ]


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
    assert after(timedelta(days=5)) == Failed("too_long")
    assert after(timedelta(days=6)) == Failed("too_long")
    assert after(timedelta(hours=1), give_up_after=timedelta(hours=1)) == Failed("too_long")


def test_the_last_try_is_when_the_five_days_end() -> None:
    assert after(timedelta(days=5, hours=-1)) == RetryAt(NOW + timedelta(hours=1), "domain")
    assert after(timedelta(days=4)) == RetryAt(NOW + timedelta(hours=4), "domain")


def test_a_clock_set_back_gives_up_on_nothing() -> None:
    assert after(timedelta(days=-400)) == RetryAt(NOW + timedelta(hours=4), "domain")


def test_what_is_permanent_or_ours_does_not_wait_for_the_five_days() -> None:
    old = NOW - timedelta(days=9)
    for code, decision in ((553, NO_SUCH_ADDRESS), (535, Ours())):
        reply = Reply(code, "", "", "rcpt")
        assert decide(reply, attempts=9, first_refused_at=old, now=NOW, jitter=0.5) == decision
