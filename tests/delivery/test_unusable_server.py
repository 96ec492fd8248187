"""What keeps us from a mail server, what it offers, and what we may ask of it: rows S3, S5, S6 and S9 to S11."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.domain.status import AttemptResult, Status
from app.store.models import Attempt, UndeliverableAddress, Worker
from tests.certificates import Authority
from tests.delivery.workers import Choices, Harness, by_status, firsts, last_attempt, only
from tests.smtp_script import Script, ScriptedServer, Wire, greeting
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio

LOGIN = ("slow@mailbox", "a secret")
TLS: dict[str, Any] = {"security": "tls", "login": LOGIN}
STARTTLS: dict[str, Any] = {"security": "starttls"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


def _asked(offer: str, answer: str) -> Script:
    """Return the script of a server that offers something, and says this when it is asked for it."""

    async def script(wire: Wire) -> None:
        await wire.greet(offer)
        await wire.read_line()
        await wire.write(answer)
        await wire.silence()

    return script


@dataclass(frozen=True)
class Row:
    """A server that cannot be used, the connection settings, and the trouble shown to the operator."""

    script: Script
    trouble: str
    way: dict[str, Any] = field(default_factory=lambda: TLS)
    trusted: bool = True


UNUSABLE = {
    "S6 535 at login": Row(_asked("AUTH PLAIN", "535 5.7.8 who are you?\n"), "refused the login: 535"),
    "S6 534 at login": Row(_asked("AUTH PLAIN", "534 5.7.9 too weak\n"), "refused the login: 534"),
    "S6 454 at login": Row(_asked("AUTH PLAIN", "454 4.7.0 not now\n"), "refused the login: 454"),
    "S6 a stranger's certificate": Row(greeting("AUTH PLAIN"), "certificate", trusted=False),
    "S9 no login offered": Row(greeting(), "offers no login"),
    "S9 no STARTTLS": Row(greeting("PIPELINING"), "does not offer STARTTLS", STARTTLS),
    "S9 STARTTLS refused": Row(_asked("STARTTLS", "454 4.7.0 no TLS\n"), "454", STARTTLS),
}


@pytest.mark.parametrize("row", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_a_fault_of_ours_charges_nothing_and_is_reported(
    sqlite_harness: Harness, authority: Authority, stranger: Authority, row: Row
) -> None:
    """On one database: for the ledger it is the outage of `test_bad_server`."""
    await sqlite_harness.post_and_wait("minji@x.test")
    trusted = (authority if row.trusted else stranger).client_context()
    context = authority.server_context() if row.way is TLS else None
    server = ScriptedServer(row.script, tls_context=context)
    async with server, sqlite_harness.process(server.port, trusted=trusted, **row.way) as process:
        await process.deliver()
        assert process.breaker.is_open
        await process.heartbeat.beat(process.dispatcher.trouble)
    trouble = (await Worker.get()).trouble  # the admin pages show it
    assert row.trouble in trouble
    assert LOGIN[1] not in trouble
    delivery = await only()
    assert (delivery.status, delivery.attempts, delivery.due_at) == (Status.SCHEDULED, 0, delivery.promised_at)
    assert not await Attempt.exists()
    commands = " ".join(line for wire in server.wires for line in wire.lines)
    assert "MAIL" not in commands
    assert "AUTH" not in commands or row.way is TLS  # never in clear
    assert await by_status() == {"scheduled": 2}


async def test_a_login_that_is_refused_for_now_is_tried_again(
    harness: Harness, authority: Authority
) -> None:  # S6, 454
    async def welcoming(wire: Wire) -> None:
        await wire.greet("AUTH PLAIN")
        await wire.read_line()
        await wire.write("235 2.7.0 welcome\n")
        await wire.serve()

    await harness.post_and_wait("minji@x.test")
    server = ScriptedServer(UNUSABLE["S6 454 at login"].script, welcoming, tls_context=authority.server_context())
    async with server, harness.process(server.port, trusted=authority.client_context(), **TLS) as process:
        await process.deliver()
        harness.clock.advance(timedelta(seconds=15))
        await process.deliver()
        assert not process.dispatcher.trouble
    assert ((await only()).status, (await only()).attempts) == (Status.SENT, 1)


async def test_a_greylisted_letter_is_accepted_five_minutes_later(harness: Harness, server: MailServer) -> None:  # S3
    server.policy = lambda stage, _: "450 4.7.1 greylisted, come again" * (stage == "rcpt")
    await harness.post_and_wait("minji@x.test", "jun@y.test")
    async with harness.process(server.port) as process:
        await process.deliver()
        assert not process.breaker.trouble
        server.policy = lambda _stage, _reader: ""
        await process.deliver()
        assert server.accepted == []
        harness.clock.advance(timedelta(minutes=5))
        await process.deliver()
    assert [(delivery.status, delivery.attempts) for delivery in await firsts()] == [(Status.SENT, 2)] * 2


async def test_a_policy_refusal_stops_one_message_and_is_logged(
    sqlite_harness: Harness, server: MailServer
) -> None:  # S5
    await sqlite_harness.post_and_wait("body-554-5.7.1@x.test", "minji@x.test")
    with capture_logs() as lines:
        async with sqlite_harness.process(server.port) as process:
            await process.deliver()
    (event,) = [line for line in lines if line["event"] == "delivery failed permanently"]
    assert (event["log_level"], event["reason"]) == ("warning", "policy")
    assert [delivery.status for delivery in await firsts()] == [Status.FAILED, Status.SENT]
    assert not await UndeliverableAddress.exists()


# What it offers


async def test_a_letter_that_is_too_long_for_a_server_is_not_begun(
    harness: Harness,
) -> None:  # S10, SIZE; S4, 552 5.3.4
    await harness.post_and_wait("minji@x.test")
    async with MailServer(size_limit=500) as server, harness.process(server.port) as process:
        await process.deliver()
    delivery = await only()
    attempt = await last_attempt(delivery)
    assert (delivery.status, attempt.outcome, attempt.code, attempt.enhanced, attempt.handed_over_at) == (
        Status.FAILED, AttemptResult.PERMANENT, 552, "5.3.4", None,
    )  # fmt: skip
    assert (server.accepted, await UndeliverableAddress.exists()) == ([], False)


@pytest.mark.parametrize(
    ("offers", "parameters"),
    [((), ""), (("PIPELINING", "SIZE 1000000", "8BITMIME", "DSN", "SMTPUTF8"), " SIZE=")],
    ids=["nothing", "all"],
)
async def test_what_a_server_offers_is_used_and_nothing_else(  # S10
    sqlite_harness: Harness, offers: tuple[str, ...], parameters: str
) -> None:
    await sqlite_harness.post("minji@x.test", body="안녕, 미나")
    sqlite_harness.clock.advance(timedelta(days=7))
    async with ScriptedServer(greeting(*offers)) as server, sqlite_harness.process(server.port) as process:
        await process.deliver()
    assert (await only()).status is Status.SENT
    (wire,) = server.wires
    mail, reader = wire.lines[1:3]
    assert mail.rstrip("0123456789") == f"MAIL FROM:<letters@letters.test>{parameters}"
    assert reader == "RCPT TO:<minji@x.test>"
    assert wire.texts[0].isascii()


# What we may ask of it: rates per domain stand in `test_dispatcher`


async def test_connections_and_letters_on_each_are_what_the_operator_allows(sqlite_harness: Harness) -> None:  # S11
    await sqlite_harness.post_and_wait(*(f"reader@x{number}.test" for number in range(10)))
    async with MailServer() as server, sqlite_harness.process(server.port, Choices(slots=2), messages=2) as process:
        await process.deliver()
    assert len(server.accepted) == 10
    assert server.most_at_once == 2
    assert server.sessions >= 5
