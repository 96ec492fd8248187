"""Reusing connections; on both event loops that uvicorn may choose."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.clock import FrozenClock
from tests.delivery.test_dispatcher import Stalling
from tests.sending import PATIENT, TAKEN, HandOver, WaitingHandOver, letter, transport_to
from tests.smtp_script import ScriptedServer, Wire, greeting, usual
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.mark.parametrize("messages", [1, 2, 1000])
async def test_no_more_connections_than_allowed(messages: int) -> None:
    names = [f"reader{number}" for number in range(8)]
    async with MailServer() as server, transport_to(server.port, connections=3, messages=messages) as transport:
        replies = await asyncio.gather(*(transport.send(letter(name), HandOver()) for name in names))
    assert replies == [TAKEN] * 8
    assert sorted(accepted.recipients[0] for accepted in server.accepted) == [f"{name}@reader.test" for name in names]
    assert server.most_at_once == 3


async def test_a_connection_is_used_for_a_limited_number_of_letters() -> None:
    async with ScriptedServer(greeting()) as server, transport_to(server.port, messages=2) as transport:
        for _ in range(5):
            await transport.send(letter(), HandOver())
    assert [len(wire.texts) for wire in server.wires] == [2, 2, 1]
    assert all(wire.lines[-1] == "QUIT" for wire in server.wires)


async def test_a_new_connection_waits_until_the_old_one_has_ended() -> None:
    events: list[str] = []

    async def slow_to_close(wire: Wire) -> None:
        events.append("opened")
        await wire.greet()
        await wire.serve(letters=1)
        assert await wire.read_line() == "QUIT"
        for _ in range(200):  # time enough for the next connection, if it did not wait
            await asyncio.sleep(0)
        events.append("closed")
        await wire.write("221 2.0.0 bye\n")

    async with ScriptedServer(slow_to_close) as server, transport_to(server.port, messages=1) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert events == ["opened", "closed"] * 2


async def test_the_connection_used_last_is_used_next() -> None:
    async with ScriptedServer(greeting()) as server, transport_to(server.port, connections=2) as transport:
        first, second = WaitingHandOver(), WaitingHandOver()
        both = [asyncio.ensure_future(transport.send(letter(), hand_over)) for hand_over in (first, second)]
        await first.begun.wait()
        await second.begun.wait()
        for sending, hand_over in zip(both, (first, second), strict=True):
            hand_over.go_on.set()
            await sending
        for _ in range(3):
            await transport.send(letter(), HandOver())
    assert sorted(len(wire.texts) for wire in server.wires) == [1, 4]


async def test_an_idle_connection_is_closed_and_not_used_again(clock: FrozenClock) -> None:
    async with ScriptedServer(greeting()) as server, transport_to(server.port, clock=clock) as transport:
        await transport.send(letter(), HandOver())
        clock.advance(timedelta(seconds=PATIENT.idle - 1))
        await transport.send(letter(), HandOver())
        clock.advance(timedelta(seconds=PATIENT.idle))
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert [len(wire.texts) for wire in server.wires] == [2, 1]
    assert all(wire.lines[-1] == "QUIT" for wire in server.wires)


async def test_an_idle_connection_is_closed_without_another_letter(clock: FrozenClock) -> None:
    timeouts = replace(PATIENT, idle=0.01)
    async with (
        ScriptedServer(greeting()) as server,
        transport_to(server.port, clock=clock, timeouts=timeouts) as transport,
    ):
        await transport.send(letter(), HandOver())
        clock.advance(timedelta(seconds=1))
        await server.all_ended()
        assert server.wires[0].lines[-1] == "QUIT"


@pytest.mark.parametrize("last_words", ["", "421 4.4.2 idle for too long\n", "250 what?\n"])
async def test_a_connection_closed_while_idle_is_not_charged_to_the_next_letter(last_words: str) -> None:
    async def tired(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        await wire.serve(letters=1)
        await wire.write(last_words)

    async with ScriptedServer(tired, greeting()) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN
        await server.all_ended()
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert len(server.wires) == 2


@pytest.mark.parametrize("offers", [("PIPELINING",), ()])
@pytest.mark.parametrize("last_words", ["", "421 4.7.0 that was enough\n", "hello\n"])
async def test_a_reused_connection_lost_at_the_first_command_is_not_charged_either(
    offers: tuple[str, ...], last_words: str
) -> None:
    async def tired(wire: Wire) -> None:
        await wire.greet(*offers)
        await wire.serve(letters=1)
        await wire.read_line()
        await wire.write(last_words)

    hand_over = HandOver()
    async with ScriptedServer(tired, greeting(*offers)) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN
        assert await transport.send(letter(), hand_over) == TAKEN
    assert hand_over.times == 1
    assert len(server.wires) == 2


async def test_a_server_without_rset_gets_a_new_connection_after_a_refusal() -> None:
    def answer(verb: str, envelope: str) -> str:
        refused = verb == "RCPT" and "nobody" in envelope
        return "502 no\n" if verb == "RSET" else "550 5.1.1 no\n" if refused else usual(verb, envelope)

    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        await wire.serve(answer)

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        assert (await transport.send(letter("nobody"), HandOver())).code == 550
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert len(server.wires) == 2


@pytest.mark.parametrize("offers", [(), ("PIPELINING",)], ids=["one by one", "pipelined"])
async def test_a_connection_that_refuses_the_sender_for_now_is_closed(offers: tuple[str, ...]) -> None:
    """Postfix, having lost a milter that was restarted, refuses until the connection ends."""

    def refuse(verb: str, _: str) -> str:
        return "451 4.7.1 Service unavailable\n" if verb == "MAIL" else "503 5.5.1 no sender\n"

    async def refusing(wire: Wire) -> None:
        await wire.greet(*offers)
        await wire.serve(refuse)

    async with ScriptedServer(refusing, greeting(*offers)) as server, transport_to(server.port) as transport:
        assert (await transport.send(letter(), HandOver())).code == 451
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert [wire.lines[-1] for wire in server.wires] == ["QUIT", "QUIT"]


async def test_closing_writes_quit_on_each_connection_and_waits_briefly() -> None:
    async def silent_at_quit(wire: Wire) -> None:
        await wire.greet()
        await wire.serve(letters=1)
        await wire.read_line()
        await wire.silence()

    async with (
        ScriptedServer(silent_at_quit) as server,
        transport_to(server.port, connections=3, timeouts=replace(PATIENT, quit=0.1)) as transport,
    ):
        waiting = [WaitingHandOver() for _ in range(3)]
        letters = asyncio.gather(*(transport.send(letter(), hand_over) for hand_over in waiting))
        for hand_over in waiting:
            await hand_over.begun.wait()
        for hand_over in waiting:
            hand_over.go_on.set()
        await letters
        async with asyncio.timeout(60):
            await transport.close()
        await server.all_ended()
        assert [wire.lines[-1] for wire in server.wires] == ["QUIT"] * 3


async def test_cancelled_while_waiting_for_a_connection() -> None:
    async with MailServer() as server, transport_to(server.port) as transport:
        hand_over = WaitingHandOver()
        first = asyncio.ensure_future(transport.send(letter(), hand_over))
        await hand_over.begun.wait()
        second, third = (asyncio.ensure_future(transport.send(letter(), HandOver())) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        hand_over.go_on.set()
        assert await first == TAKEN
        assert await third == TAKEN
        with pytest.raises(asyncio.CancelledError):
            await second
    assert len(server.accepted) == 2


async def test_a_domain_that_stalls_leaves_connections_to_others() -> None:
    """24 letters to one domain and then 20 to others, over 10 connections; the server never answers for the domain."""
    async with MailServer() as server, transport_to(server.port, connections=10) as transport:
        server.policy = stalling = Stalling("silent.test")
        silent = [asyncio.ensure_future(transport.send(letter(domain="silent.test"), HandOver())) for _ in range(24)]
        await stalling.begun.wait()
        async with asyncio.timeout(60):
            others = [transport.send(letter(domain=f"x{number}.test"), HandOver()) for number in range(20)]
            assert await asyncio.gather(*others) == [TAKEN] * 20
        assert not any(sending.done() for sending in silent)
        for sending in silent:
            sending.cancel()
        await asyncio.wait(silent)


async def test_no_letter_is_pipelined_behind_a_domain_with_most_of_the_connections() -> None:
    """Seven letters to one domain and then 20 to others; the server never answers the domain's final dots."""
    async with MailServer() as server, transport_to(server.port, connections=10) as transport:
        server.policy = Stalling("silent.test", "body")
        silent = [asyncio.ensure_future(transport.send(letter(domain="silent.test"), HandOver())) for _ in range(7)]
        async with asyncio.timeout(60):
            others = [transport.send(letter(domain=f"x{number}.test"), HandOver()) for number in range(20)]
            assert await asyncio.gather(*others) == [TAKEN] * 20
        for sending in silent:
            sending.cancel()
        await asyncio.wait(silent)
