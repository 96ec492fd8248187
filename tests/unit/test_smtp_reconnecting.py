"""Letters that move to another connection, and connections that are refused."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from app.mail.envelope import ClaimLost, Unavailable
from tests.sending import PATIENT, TAKEN, HandOver, WaitingHandOver, letter, transport_to
from tests.smtp_script import Script, ScriptedServer, Wire, greeting

pytestmark = pytest.mark.anyio


def answering_late(offered: asyncio.Event, answer: asyncio.Event, *, letters: int = 0) -> Script:
    """Return a script that accepts so many letters, and replies to the next and the commands behind it on `answer`."""

    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        await wire.serve(letters=letters)
        await wire.accept_commands()
        await wire.read_text()
        for _ in range(3):
            await wire.read_line()
        offered.set()
        await answer.wait()
        await wire.write("250 2.0.0 taken\n250 ok\n250 ok\n354 go on\n")
        await wire.silence()

    return script


async def test_a_letter_does_not_wait_long_behind_another() -> None:
    timeouts, offered, answer = replace(PATIENT, behind=0.02), asyncio.Event(), asyncio.Event()
    quick, behind = WaitingHandOver(), HandOver()
    async with (
        ScriptedServer(greeting("PIPELINING"), answering_late(offered, answer)) as server,
        transport_to(server.port, timeouts=timeouts, connections=2) as transport,
    ):
        other = asyncio.ensure_future(transport.send(letter(), quick))
        await quick.begun.wait()
        first, second = (asyncio.ensure_future(transport.send(letter(), h)) for h in (HandOver(), behind))
        await offered.wait()
        quick.go_on.set()
        assert await other == TAKEN
        assert await second == TAKEN
        assert not first.done()
        answer.set()
        assert await first == TAKEN
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert behind.times == 1
    assert len(server.wires[0].texts) == 3


async def cancelled() -> bool:
    await asyncio.Event().wait()
    return True


async def claim_lost() -> bool:
    return False


async def database_error() -> bool:
    raise RuntimeError("no database")


@pytest.mark.parametrize(
    ("hand_over", "error"),
    [(cancelled, asyncio.CancelledError), (claim_lost, ClaimLost), (database_error, RuntimeError)],
)
async def test_a_letter_cancelled_behind_another_does_not_disturb_its_reply(
    hand_over: Callable[[], Awaitable[bool]], error: type[BaseException]
) -> None:
    begun, answer = asyncio.Event(), asyncio.Event()

    async def beginning() -> bool:
        begun.set()
        return await hand_over()

    async with (
        ScriptedServer(answering_late(asyncio.Event(), answer, letters=1), greeting("PIPELINING")) as server,
        transport_to(server.port) as transport,
    ):
        assert await transport.send(letter(), HandOver()) == TAKEN
        first = asyncio.ensure_future(transport.send(letter(), HandOver()))
        second = asyncio.ensure_future(transport.send(letter(), beginning))
        await begun.wait()
        if hand_over is cancelled:
            second.cancel()
        with pytest.raises(error):
            await second
        answer.set()
        assert await first == TAKEN
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert len(server.wires) == 2


# Refused connections


async def test_a_server_that_takes_fewer_connections_gets_all_letters() -> None:
    busy = [greeting("PIPELINING")] * 2 + [_refuses] * 20
    async with ScriptedServer(*busy) as server, transport_to(server.port, connections=5) as transport:
        replies = await asyncio.gather(*(transport.send(letter(), HandOver()) for _ in range(20)))
    assert replies == [TAKEN] * 20
    assert len(server.wires) <= 5


async def _refuses(wire: Wire) -> None:
    await wire.write("421 4.7.0 too many connections\n")


async def test_an_outage_ends_all_waiting_letters() -> None:
    async with ScriptedServer(_refuses) as server, transport_to(server.port, connections=2) as transport:
        outcomes = await asyncio.gather(
            *(transport.send(letter(), HandOver()) for _ in range(20)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 20
    assert len({id(outcome) for outcome in outcomes}) == 20  # each is raised on its own
    assert len(server.wires) <= 2
