"""Outages that come and go, and letters that make a server hang up."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.status import Status
from app.store.models import Attempt
from tests.clock import FrozenClock
from tests.delivery.workers import Choices, Harness, by_status, firsts, only
from tests.postgres import free_port
from tests.sending import PATIENT
from tests.smtp_script import ScriptedServer, Wire, greeting
from tests.smtp_server import DROP, MailServer, Stage

pytestmark = pytest.mark.anyio

FIVE_MINUTES = timedelta(minutes=5)
HASTY = replace(PATIENT, command=0.05)


async def _hang_up(wire: Wire) -> None:
    wire.drop()


async def _never_finish(wire: Wire) -> None:
    """Answer MAIL with lines that never end: each byte of them is a sign of life, and no answer."""
    await wire.greet()
    await wire.read_line()
    while True:
        await wire.write_bytewise("250-x\n")
        await asyncio.sleep(0.01)


async def test_a_server_that_is_not_there_is_an_outage(harness: Harness) -> None:
    await harness.post_and_wait("minji@x.test")
    due_at = (await only()).due_at
    async with harness.process(free_port()) as process:
        await process.deliver()
        assert process.breaker.is_open
        assert process.completer.settled == {Status.SCHEDULED: 1}
    delivery = await only()
    assert (delivery.status, delivery.attempts, delivery.due_at) == (Status.SCHEDULED, 0, due_at)
    assert not await Attempt.exists()
    assert await by_status() == {"scheduled": 2}


async def test_an_answer_that_never_ends_is_none(sqlite_harness: Harness) -> None:
    await sqlite_harness.post_and_wait("minji@x.test")
    async with ScriptedServer(_never_finish) as server, sqlite_harness.process(server.port, timeouts=HASTY) as process:
        await process.deliver()
    delivery = await only()
    assert (delivery.status, delivery.attempts) == (Status.SCHEDULED, 1)


# Outages come and go


async def test_after_an_outage_letters_leave_by_themselves_in_order(harness: Harness) -> None:
    port = free_port()
    readers = [f"reader{number}@x.test" for number in range(12)]
    await harness.post_and_wait(*readers)
    async with harness.process(port, Choices(slots=3)) as process:
        for _ in range(3):
            await process.deliver()
            assert process.breaker.is_open
            harness.clock.advance(timedelta(minutes=1))
        async with MailServer(port=port) as server:
            await process.deliver()
            assert not process.breaker.trouble
    arrived = [accepted.recipients[0] for accepted in server.accepted]
    assert sorted(arrived) == sorted(readers)
    assert arrived[0] == readers[0]  # the one that tried first
    # Up to three are on their way side by side, and may overtake one another.
    assert all(abs(place - readers.index(reader)) < 3 for place, reader in enumerate(arrived))
    assert {(delivery.status, delivery.attempts) for delivery in await firsts()} == {(Status.SENT, 1)}


async def test_only_one_tries_a_server_that_was_away(sqlite_harness: Harness) -> None:
    await sqlite_harness.post_and_wait(*(f"r{number}@x{number}.test" for number in range(8)))
    async with ScriptedServer(_hang_up) as server, sqlite_harness.process(server.port) as process:
        await process.deliver()
        assert len(server.wires) == 8
        sqlite_harness.clock.advance(timedelta(seconds=15))
        await process.deliver()
        assert len(server.wires) == 9


async def test_a_server_that_goes_away_during_a_scan_charges_no_letter(harness: Harness) -> None:
    """It accepts four, and goes away at the fifth RCPT."""
    readers = [f"reader{number}@x.test" for number in range(10)]
    await harness.post_and_wait(*readers)
    server = MailServer()

    def policy(stage: Stage, _reader: str) -> str:
        if stage == "rcpt" and len(server.accepted) >= 4:
            server.die()
            return DROP
        return ""

    server.policy = policy
    async with server, harness.process(server.port, Choices(slots=1)) as process:
        await process.deliver()
        assert process.breaker.is_open
    left = [delivery for delivery in await firsts() if delivery.status is not Status.SENT]
    assert len(server.accepted) == 4
    assert {(delivery.status, delivery.attempts) for delivery in left} == {(Status.SCHEDULED, 0)}
    assert await by_status() == {"sent": 4, "scheduled": 16}


async def test_a_letter_that_makes_a_server_hang_up_does_not_hold_up_the_others(harness: Harness) -> None:
    await harness.post_and_wait("poison@x.test", "minji@x.test", "jun@x.test")
    async with MailServer(policy=_dropping("poison@x.test")) as server, harness.process(server.port) as process:
        await process.deliver()
    assert [delivery.status for delivery in await firsts()] == [Status.SCHEDULED, Status.SENT, Status.SENT]
    poison = (await firsts())[0]
    assert (poison.attempts, poison.due_at) == (1, harness.clock.now() + FIVE_MINUTES)


def _dropping(poison: str) -> Callable[[Stage, str], str]:
    return lambda stage, reader: DROP if stage == "rcpt" and reader == poison else ""


async def test_a_proper_script_is_a_proper_server(sqlite_harness: Harness, clock: FrozenClock) -> None:
    """The scripts above fail letters by what they leave out, and by nothing else."""
    await sqlite_harness.post_and_wait("minji@x.test")
    async with (
        ScriptedServer(greeting("PIPELINING")) as server,
        sqlite_harness.process(server.port, timeouts=PATIENT) as process,
    ):
        await process.deliver()
    assert (await only()).sent_at == clock.now()


async def test_what_was_claimed_when_an_outage_began_is_given_back_untried(
    sqlite_harness: Harness, server: MailServer
) -> None:
    await sqlite_harness.post_and_wait("minji@x.test")
    async with sqlite_harness.process(server.port) as process:
        (claimed,) = await process.claim()
        process.breaker.trip("down")
        await process.deliver_one(claimed)
        assert process.completer.settled == {}
    assert server.sessions == 0
    assert await by_status() == {"scheduled": 2}
