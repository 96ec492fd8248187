"""Outages that come and go, and letters that make a server hang up."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.status import Status
from app.store.models import Attempt
from tests.clock import FrozenClock
from tests.delivery.workers import Choices, Town, by_status, firsts, only
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
    await wire.hear()
    while True:
        await wire.spell("250-x\n")
        await asyncio.sleep(0.01)


async def test_a_server_that_is_not_there_is_an_outage(town: Town) -> None:
    await town.post_and_wait("minji@x.test")
    due_at = (await only()).due_at
    async with town.office(free_port()) as office:
        await office.deliver()
        assert office.breaker.is_open
        assert office.completer.settled == {Status.SCHEDULED: 1}
    delivery = await only()
    assert (delivery.status, delivery.attempts, delivery.due_at) == (Status.SCHEDULED, 0, due_at)
    assert not await Attempt.exists()
    assert await by_status() == {"scheduled": 2}


async def test_an_answer_that_never_ends_is_none(lite_town: Town) -> None:
    await lite_town.post_and_wait("minji@x.test")
    async with ScriptedServer(_never_finish) as server, lite_town.office(server.port, patience=HASTY) as office:
        await office.deliver()
    delivery = await only()
    assert (delivery.status, delivery.attempts) == (Status.SCHEDULED, 1)


# Outages come and go


async def test_after_an_outage_letters_leave_by_themselves_in_order(town: Town) -> None:
    port = free_port()
    readers = [f"reader{number}@x.test" for number in range(12)]
    await town.post_and_wait(*readers)
    async with town.office(port, Choices(seats=3)) as office:
        for _ in range(3):
            await office.deliver()
            assert office.breaker.is_open
            town.clock.advance(timedelta(minutes=1))
        async with MailServer(port=port) as server:
            await office.deliver()
            assert not office.breaker.trouble
    arrived = [accepted.recipients[0] for accepted in server.accepted]
    assert sorted(arrived) == sorted(readers)
    assert arrived[0] == readers[0]  # the one that tried first
    # Up to three are on their way side by side, and may overtake one another.
    assert all(abs(place - readers.index(reader)) < 3 for place, reader in enumerate(arrived))
    assert {(delivery.status, delivery.attempts) for delivery in await firsts()} == {(Status.SENT, 1)}


async def test_only_one_tries_a_server_that_was_away(lite_town: Town) -> None:
    await lite_town.post_and_wait(*(f"r{number}@x{number}.test" for number in range(8)))
    async with ScriptedServer(_hang_up) as server, lite_town.office(server.port) as office:
        await office.deliver()
        assert len(server.wires) == 8
        lite_town.clock.advance(timedelta(seconds=15))
        await office.deliver()
        assert len(server.wires) == 9


async def test_a_server_that_dies_in_the_middle_of_a_scan_costs_nobody_anything(town: Town) -> None:
    """It accepts four, and while it hears the fifth reader it is gone."""
    readers = [f"reader{number}@x.test" for number in range(10)]
    await town.post_and_wait(*readers)
    server = MailServer()

    def policy(stage: Stage, _reader: str) -> str:
        if stage == "rcpt" and len(server.accepted) >= 4:
            server.die()
            return DROP
        return ""

    server.policy = policy
    async with server, town.office(server.port, Choices(seats=1)) as office:
        await office.deliver()
        assert office.breaker.is_open
    left = [delivery for delivery in await firsts() if delivery.status is not Status.SENT]
    assert len(server.accepted) == 4
    assert {(delivery.status, delivery.attempts) for delivery in left} == {(Status.SCHEDULED, 0)}
    assert await by_status() == {"sent": 4, "scheduled": 16}


async def test_a_letter_that_makes_a_server_hang_up_does_not_hold_up_the_others(town: Town) -> None:
    await town.post_and_wait("poison@x.test", "minji@x.test", "jun@x.test")
    async with MailServer(policy=_dropping("poison@x.test")) as server, town.office(server.port) as office:
        await office.deliver()
    assert [delivery.status for delivery in await firsts()] == [Status.SCHEDULED, Status.SENT, Status.SENT]
    poison = (await firsts())[0]
    assert (poison.attempts, poison.due_at) == (1, town.clock.now() + FIVE_MINUTES)


def _dropping(poison: str) -> Callable[[Stage, str], str]:
    return lambda stage, reader: DROP if stage == "rcpt" and reader == poison else ""


async def test_a_proper_script_is_a_proper_server(lite_town: Town, clock: FrozenClock) -> None:
    """The scripts above fail letters by what they leave out, and by nothing else."""
    await lite_town.post_and_wait("minji@x.test")
    async with (
        ScriptedServer(greeting("PIPELINING")) as server,
        lite_town.office(server.port, patience=PATIENT) as office,
    ):
        await office.deliver()
    assert (await only()).sent_at == clock.now()


async def test_what_was_claimed_when_an_outage_began_is_given_back_untried(lite_town: Town, server: MailServer) -> None:
    await lite_town.post_and_wait("minji@x.test")
    async with lite_town.office(server.port) as office:
        (claimed,) = await office.claim()
        office.breaker.trip("down")
        await office.carry(claimed)
        assert office.completer.settled == {}
    assert server.sessions == 0
    assert await by_status() == {"scheduled": 2}
