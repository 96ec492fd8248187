"""What a mail server may answer, row by row of docs/standards.md, and where the ledger ends."""

from dataclasses import dataclass
from datetime import timedelta
from email import policy
from email.parser import BytesParser

import pytest
from structlog.testing import capture_logs

from app.domain.refusal import Reason
from app.domain.retry import GIVE_UP_AFTER
from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store.models import Attempt, Delivery, UndeliverableAddress
from app.templating import refusal_text
from tests.delivery.workers import Choices, Harness, by_status, firsts, last_attempt, only
from tests.smtp_server import Accepted, MailServer, Policy

pytestmark = pytest.mark.anyio

FIVE_MINUTES = timedelta(minutes=5)


@dataclass(frozen=True)
class Row:
    """A reader's address that names the server's reply, and the outcome."""

    reader: str
    status: Status
    blocked: bool = False
    server_rests: bool = False
    domain_rests: bool = False


RETRIED = [
    Row("rcpt-450@x.test", Status.SCHEDULED),  # S2
    Row("data-451@x.test", Status.SCHEDULED),
    Row("body-452@x.test", Status.SCHEDULED),
    Row("rcpt-421-4.3.2@x.test", Status.SCHEDULED, server_rests=True),  # S3
    Row("body-421@x.test", Status.SCHEDULED, server_rests=True),
    Row("rcpt-451-4.7.1@x.test", Status.SCHEDULED),
    Row("rcpt-450-4.2.1@rate.test", Status.SCHEDULED, domain_rests=True),
    Row("rcpt-452-4.2.2@x.test", Status.SCHEDULED),
    Row("rcpt-552-5.2.2@x.test", Status.SCHEDULED),  # S4
    Row("rcpt-454@x.test", Status.SCHEDULED),  # S6
]
FAILED = [
    Row("rcpt-550-5.1.1@x.test", Status.FAILED, blocked=True),  # S4
    Row("rcpt-550-5.1.2@x.test", Status.FAILED, blocked=True),
    Row("rcpt-550-5.1.10@x.test", Status.FAILED, blocked=True),
    Row("rcpt-553@x.test", Status.FAILED),
    Row("rcpt-556@x.test", Status.FAILED, blocked=True),
    Row("body-552-5.3.4@x.test", Status.FAILED),
    Row("body-554-5.6.0@x.test", Status.FAILED),
    Row("rcpt-550-5.7.1@x.test", Status.FAILED),  # S5
    Row("body-554-5.7.1@x.test", Status.FAILED),
]


def _text(accepted: Accepted) -> str:
    words = BytesParser(policy=policy.default).parsebytes(accepted.message).get_body(("plain",))
    assert words is not None
    return str(words.get_content())


def _reader(row: Row) -> str:
    return row.reader.partition("@")[0]


async def test_sent_only_after_the_250_that_follows_the_final_dot(harness: Harness, server: MailServer) -> None:  # S1
    await harness.post_and_wait("minji@x.test")
    async with harness.process(server.port) as process:
        await process.deliver()
    delivery = await only()
    assert (delivery.status, delivery.sent_at, delivery.attempts) == (Status.SENT, harness.clock.now(), 1)
    attempt = await last_attempt(delivery)
    assert (attempt.outcome, attempt.code, attempt.enhanced) == (AttemptResult.ACCEPTED, 250, "2.0.0")
    assert attempt.handed_over_at == harness.clock.now()
    assert [accepted.recipients for accepted in server.accepted] == [("minji@x.test",)]
    assert await by_status() == {"sent": 1, "scheduled": 1}


@pytest.mark.parametrize("row", RETRIED, ids=_reader)
async def test_refused_for_now(sqlite_harness: Harness, server: MailServer, row: Row) -> None:
    await sqlite_harness.post_and_wait(row.reader)
    async with sqlite_harness.process(server.port) as process:
        await process.deliver()
        assert process.breaker.is_open == row.server_rests
        assert bool(process.rate_limiter.closed_domains()) == row.domain_rests
    delivery = await only()
    now = sqlite_harness.clock.now()
    assert (delivery.status, delivery.attempts) == (Status.SCHEDULED, 1)
    assert (delivery.due_at, delivery.first_refused_at) == (now + FIVE_MINUTES, now)
    attempt = await last_attempt(delivery)
    stage, code, *_ = row.reader.partition("@")[0].split("-")
    assert (attempt.outcome, attempt.code) == (AttemptResult.TRANSIENT, int(code))
    assert bool(attempt.handed_over_at) == (stage == "body")
    assert not await UndeliverableAddress.exists()
    assert server.accepted == []
    assert await by_status() == {"scheduled": 2}


@pytest.mark.parametrize("row", FAILED, ids=_reader)
async def test_refused_for_good(sqlite_harness: Harness, server: MailServer, row: Row) -> None:
    await sqlite_harness.post_and_wait(row.reader, sender="jun@writer.test")
    await Delivery.filter(occasion=Occasion.RECEIPT).update(due_at=sqlite_harness.clock.now() + timedelta(days=1))
    async with sqlite_harness.process(server.port) as process:
        await process.deliver()
        assert not process.breaker.trouble
    delivery = await only()
    assert (delivery.status, delivery.attempts) == (Status.FAILED, 1)
    assert (
        await UndeliverableAddress.filter(address_hmac=sqlite_harness.cipher.address_hmac(row.reader)).exists()
        == row.blocked
    )
    second = await Delivery.get(occasion=Occasion.SECOND)
    assert (second.status, second.held_reason) == (Status.HELD, HeldReason.FIRST_REFUSED)
    assert (await last_attempt(delivery)).outcome is AttemptResult.PERMANENT
    # The writer was notified, at once and once.
    assert [accepted.recipients for accepted in server.accepted] == [("jun@writer.test",)]
    assert server.accepted[0].sender == "<>"
    assert await by_status() == {"failed": 1, "held": 1, "sent": 1, "scheduled": 1}


async def test_all_of_them_together(harness: Harness, server: MailServer) -> None:
    rows = [row for row in (*RETRIED, *FAILED) if not row.server_rests]
    await harness.post_and_wait(*(row.reader for row in rows))
    async with harness.process(server.port) as process:
        await process.deliver()
    assert [(delivery.status, delivery.attempts) for delivery in await firsts()] == [(row.status, 1) for row in rows]
    assert await by_status() == {"scheduled": 16, "failed": 9, "held": 9}


async def test_without_the_writers_address_no_notice_is_sent(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("rcpt-550-5.1.1@x.test")
    async with harness.process(server.port) as process:
        await process.deliver()
    assert await by_status() == {"failed": 1, "held": 1}
    assert server.accepted == []


async def test_an_address_that_does_not_exist_is_not_written_to_again(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("rcpt-550-5.1.1@x.test")
    async with harness.process(server.port) as process:
        await process.deliver()
        sessions = server.sessions
        await harness.post_and_wait("RCPT-550-5.1.1@x.test")
        await process.deliver()
    _, again = await firsts()
    assert (again.status, again.held_reason, again.attempts) == (Status.HELD, HeldReason.UNDELIVERABLE, 0)
    assert server.sessions == sessions


async def test_what_the_server_said_is_kept_without_addresses(harness: Harness, server: MailServer) -> None:
    server.policy = lambda stage, reader: f"550 5.7.1 no mail from <letters@us.test> for {reader}" * (stage == "rcpt")
    await harness.post_and_wait("minji@x.test")
    async with harness.process(server.port) as process:
        await process.deliver()
    answer = (await last_attempt(await only())).answer
    assert answer == "no mail from <[address]> for [address]"


async def test_nor_does_an_address_reach_the_log_when_the_server_wants_a_pause(
    harness: Harness, server: MailServer
) -> None:
    server.policy = lambda stage, reader: f"421 4.7.0 <{reader}>: too many" * (stage == "rcpt")
    await harness.post_and_wait("minji@x.test")
    with capture_logs() as lines:
        async with harness.process(server.port) as process:
            await process.deliver()
            assert process.breaker.trouble.endswith("<[address]>: too many")
    assert any("too many" in str(line) for line in lines)
    assert "minji" not in str(lines)


@pytest.mark.parametrize("code", ["530", "534", "535", "538"])
async def test_a_server_that_does_not_accept_us_charges_nothing_to_the_letter(  # S6
    harness: Harness, server: MailServer, code: str
) -> None:
    await harness.post_and_wait(f"rcpt-{code}@x.test")
    async with harness.process(server.port) as process:
        before = await only()
        for pause in (10, 20, 40):
            await process.deliver()
            assert process.breaker.trouble.startswith(f"the mail server does not accept us: {code}")
            harness.clock.advance(timedelta(seconds=pause - 1))
            assert process.breaker.is_open
            harness.clock.advance(timedelta(seconds=1))
            assert not process.breaker.is_open
    after = await only()
    assert (after.status, after.attempts, after.due_at) == (Status.SCHEDULED, 0, before.due_at)
    assert await by_status() == {"scheduled": 2}


def _at_rcpt(answer: str) -> Policy:
    return lambda stage, _: answer * (stage == "rcpt")


async def test_what_is_about_us_ends_no_letter_and_all_go_once_it_is_mended(
    harness: Harness, server: MailServer
) -> None:
    readers = [f"minji@x{number}.test" for number in range(40)]
    await harness.post_and_wait(*readers, sender="jun@writer.test")
    async with harness.process(server.port) as process:
        for answer in (
            "554 5.7.1 <x>: Relay access denied",
            "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
            "550 5.1.2 Relay not allowed.",
            "550 Domain x.test has exceeded the max emails per hour (5/5 (100%)) allowed.",
        ):
            server.policy = _at_rcpt(answer)
            await process.deliver()
            assert process.breaker.trouble.startswith(f"the mail server does not accept us: {answer[:3]}")
            harness.clock.advance(FIVE_MINUTES * 2)
        assert await by_status() == {"scheduled": 120}
        assert not await Attempt.exists()
        server.policy = _at_rcpt("")
        await process.deliver()
    assert len(server.accepted) == 80
    assert not await UndeliverableAddress.exists()


async def test_a_letter_that_alone_is_not_relayed_keeps_no_other_waiting(
    sqlite_harness: Harness, server: MailServer
) -> None:
    def wish(stage: str, reader: str) -> str:
        return "550 relay not permitted" if stage == "rcpt" and reader.startswith("alone") else ""

    server.policy = wish
    await sqlite_harness.post_and_wait("alone@x.test", "minji@y.test", "jun@z.test")
    async with sqlite_harness.process(server.port, Choices(slots=1)) as process:
        await process.deliver()
        assert server.accepted == []
        sqlite_harness.clock.advance(FIVE_MINUTES)
        await process.deliver()
    assert [accepted.recipients for accepted in server.accepted] == [("minji@y.test",), ("jun@z.test",)]
    alone, *_ = await firsts()
    assert (alone.status, alone.attempts) == (Status.SCHEDULED, 0)


@pytest.mark.parametrize(
    ("stage", "answer", "reason"),
    [
        ("rcpt", "550 5.1.1 no", Reason.NO_SUCH_ADDRESS),
        ("rcpt", "550 5.4.1 Recipient address rejected: Access denied", Reason.NO_SUCH_ADDRESS),
        ("rcpt", "553 no", Reason.MESSAGE),
        ("body", "550 This message was classified as SPAM", Reason.MESSAGE),
        ("rcpt", "450 4.1.1 Address verification in progress", Reason.DEFERRED),
        ("rcpt", "452 4.2.2 full", Reason.MAILBOX_FULL),
    ],
)
async def test_the_reason_is_recorded_and_in_the_notice_to_the_writer(
    sqlite_harness: Harness, server: MailServer, stage: str, answer: str, reason: Reason
) -> None:
    server.policy = lambda at, reader: answer * (at == stage and reader == "minji@x.test")
    await sqlite_harness.post_and_wait("minji@x.test", sender="jun@writer.test")
    async with sqlite_harness.process(server.port) as process:
        await process.deliver()
    assert (await last_attempt(await only())).reason is reason
    notices = [_text(accepted) for accepted in server.accepted]
    assert sum(refusal_text(reason, "en") in text for text in notices) == reason.permanent


async def test_a_server_that_asks_for_a_pause_again_gets_a_longer_one(  # S3
    sqlite_harness: Harness, server: MailServer
) -> None:
    await sqlite_harness.post_and_wait("rcpt-421@x.test")
    async with sqlite_harness.process(server.port) as process:
        await process.deliver()
        sqlite_harness.clock.advance(FIVE_MINUTES)
        await process.deliver()
        sqlite_harness.clock.advance(timedelta(seconds=15))
        assert process.breaker.is_open


async def test_it_gives_up_five_days_after_the_first_refusal(sqlite_harness: Harness, server: MailServer) -> None:  # S2
    await sqlite_harness.post_and_wait("rcpt-450@x.test", sender="jun@writer.test")
    began = sqlite_harness.clock.now()
    waits = []
    async with sqlite_harness.process(server.port) as process:
        while (delivery := await only()).status is Status.SCHEDULED:
            await process.deliver()
            due = (await only()).due_at
            waits.append((due - sqlite_harness.clock.now()) // timedelta(minutes=1))
            sqlite_harness.clock.advance(due - sqlite_harness.clock.now())
    assert delivery.status is Status.FAILED
    assert sqlite_harness.clock.now() - began == GIVE_UP_AFTER
    assert waits[:7] == [5, 10, 20, 40, 80, 160, 240]
    assert waits[-1] == 0
    assert delivery.attempts == len(waits)
    assert not await UndeliverableAddress.exists()
    assert await Delivery.filter(occasion=Occasion.REFUSAL, status=Status.SENT).exists()
    notice = server.accepted[-1]
    assert notice.recipients == ("jun@writer.test",)
    assert "450 as you wish" in _text(notice)
