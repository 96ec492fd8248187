"""A connection or a server that fails in the middle of a letter."""

import asyncio
from dataclasses import replace

import pytest

from app.mail.envelope import ClaimLost, Dropped, Unanswered
from tests.sending import PATIENT, TAKEN, HandOver, WaitingHandOver, letter, transport_to
from tests.smtp_script import ScriptedServer, Wire, after, greeting, usual
from tests.time_zones import Hours

pytestmark = pytest.mark.anyio

each_way = pytest.mark.parametrize("offers", [("PIPELINING",), ()], ids=["pipelined", "one-by-one"])
QUICK_TO_GIVE_UP = replace(PATIENT, command=0.05)
UNFINISHED = ("", "25")
"""After these only the time limit ends the wait."""


@each_way
@pytest.mark.parametrize("commands", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "then",
    [None, "", "25", "hello\n", "250-a\n550 b\n", "999 what\n", "x" * 20_000, "250-more\n" * 5_000],
    ids=["dropped", "silent", "half", "garbage", "two codes", "no code", "no end", "endless"],
)
async def test_no_answer_is_dropped_before_the_hand_over_and_unanswered_after(
    offers: tuple[str, ...], commands: int, then: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = after(*offers, commands=commands, then=then), greeting(*offers)
    hand_over, hours = HandOver(), Hours(monkeypatch)
    async with ScriptedServer(*scripts) as server, transport_to(server.port) as transport:
        sending = asyncio.ensure_future(transport.send(letter(), hand_over))
        if then in UNFINISHED:
            await server.silence()
            hours.pass_by(PATIENT.answer if commands == 3 else PATIENT.command)
        with pytest.raises(Unanswered if commands == 3 else Dropped):
            await sending
        assert hand_over.times == (commands == 3)
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert len(server.wires) == 2


@pytest.mark.parametrize("reply_line", ["354 go on\n", "334 \n"])
async def test_a_3xx_to_the_final_dot_is_no_answer(reply_line: str) -> None:
    async with ScriptedServer(after(commands=3, then=reply_line)) as server, transport_to(server.port) as transport:
        with pytest.raises(Unanswered):
            await transport.send(letter(), HandOver())


@each_way
@pytest.mark.parametrize(("commands", "reply_line"), [(0, "354 go on\n"), (1, "354 go on\n"), (2, "250 ok\n")])
async def test_a_success_that_fits_no_command_ends_the_connection(
    offers: tuple[str, ...], commands: int, reply_line: str
) -> None:
    scripts = after(*offers, commands=commands, then=reply_line * (3 - commands)), greeting(*offers)
    hand_over = HandOver()
    async with ScriptedServer(*scripts) as server, transport_to(server.port) as transport:
        reply = await transport.send(letter(), hand_over)
        assert (reply.code, reply.stage) == (int(reply_line[:3]), ("mail", "rcpt", "data")[commands])
        assert not reply.accepted
        assert hand_over.times == 0
        assert await transport.send(letter(), HandOver()) == TAKEN


async def test_an_extra_reply_ends_the_connection_before_the_text() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        for _ in range(3):
            await wire.read_line()
        await wire.write("250 ok\n250 ok\n354 go on\n250 taken already\n")
        await wire.silence()

    hand_over = HandOver()
    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        with pytest.raises(Dropped, match="unexpected reply: 250 taken already"):
            await transport.send(letter(), hand_over)
        assert hand_over.times == 0


async def test_an_extra_reply_ends_the_connection_before_the_next_command() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet()
        await wire.read_line()
        await wire.write("250 ok\n250 ok\n")
        await wire.silence()

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        with pytest.raises(Dropped, match="unexpected reply: 250 ok"):
            await transport.send(letter(), HandOver())
        await server.all_ended()
    assert len(server.wires[0].lines) == 2


async def test_the_connection_may_end_in_the_middle_of_the_text() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        for verb in ("MAIL", "RCPT", "DATA"):
            await wire.read_line()
            await wire.write(usual(verb, ""))
        await wire.read_line()
        wire.drop()

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        with pytest.raises(Unanswered):
            await transport.send(letter(text=b"hello\r\n" * 1_000_000), HandOver())


@each_way
async def test_answers_may_come_a_byte_at_a_time(offers: tuple[str, ...]) -> None:
    async def script(wire: Wire) -> None:
        wire.write = wire.write_bytewise  # type: ignore[method-assign]
        await wire.greet(*offers)
        await wire.serve()

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert len(server.wires) == 1


async def test_a_byte_at_a_time_does_not_stretch_the_time_limit() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        await wire.read_line()
        while True:
            await wire.write_bytewise("2")
            for _ in range(50):
                await asyncio.sleep(0)

    async with ScriptedServer(script) as server, transport_to(server.port, timeouts=QUICK_TO_GIVE_UP) as transport:
        with pytest.raises(Dropped, match="no complete reply"):
            await transport.send(letter(), HandOver())


async def test_the_answer_to_the_final_dot_has_a_time_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    hours, timeouts = Hours(monkeypatch), replace(PATIENT, answer=PATIENT.command + 600)
    async with (
        ScriptedServer(after(commands=3, then="")) as server,
        transport_to(server.port, timeouts=timeouts) as transport,
    ):
        sending = asyncio.ensure_future(transport.send(letter(), HandOver()))
        await server.silence()
        hours.pass_by(PATIENT.command)
        await asyncio.wait([sending], timeout=0.01)
        assert not sending.done()
        hours.pass_by(600)
        with pytest.raises(Unanswered):
            await sending


# The hand-over


async def test_no_time_limit_runs_during_the_hand_over(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = greeting("PIPELINING"), after("PIPELINING", commands=0, then="")
    hand_over, hours = WaitingHandOver(), Hours(monkeypatch)
    async with ScriptedServer(*scripts) as server, transport_to(server.port, connections=2) as transport:
        sending = asyncio.ensure_future(transport.send(letter(), hand_over))
        await hand_over.begun.wait()
        other = asyncio.ensure_future(transport.send(letter(), HandOver()))
        await server.silence(1)
        hours.pass_by(PATIENT.command)
        with pytest.raises(Dropped):  # after a time limit that started later than the first letter's
            await other
        hand_over.go_on.set()
        assert await sending == TAKEN


async def ended_without_the_final_dot(wire: Wire, ended: asyncio.Event) -> None:
    """Offer PIPELINING, expect the text, and set `ended` if the client closes the connection instead."""
    await wire.greet("PIPELINING")
    for verb in ("MAIL", "RCPT", "DATA"):
        await wire.read_line()
        await wire.write(usual(verb, ""))
    try:
        await wire.read_text()
    except (asyncio.IncompleteReadError, ConnectionError):
        ended.set()
    else:
        await wire.write("250 taken\n")


async def test_a_lost_claim_ends_the_connection_without_the_final_dot() -> None:
    ended = asyncio.Event()
    async with (
        ScriptedServer(lambda wire: ended_without_the_final_dot(wire, ended)) as server,
        transport_to(server.port) as transport,
    ):
        with pytest.raises(ClaimLost):
            await transport.send(letter(), HandOver(held=False))
        await ended.wait()


async def test_a_hand_over_that_fails_ends_the_connection_without_the_final_dot() -> None:
    async def failing() -> bool:
        raise RuntimeError("no database")

    ended = asyncio.Event()
    async with (
        ScriptedServer(lambda wire: ended_without_the_final_dot(wire, ended)) as server,
        transport_to(server.port) as transport,
    ):
        with pytest.raises(RuntimeError):
            await transport.send(letter(), failing)
        await ended.wait()


@pytest.mark.parametrize("last_words", ["", "421 4.4.2 too slow\n"])
async def test_a_connection_lost_during_the_hand_over_has_sent_nothing(last_words: str) -> None:
    hand_over = WaitingHandOver()

    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        for verb in ("MAIL", "RCPT", "DATA"):
            await wire.read_line()
            await wire.write(usual(verb, ""))
        await hand_over.begun.wait()
        await wire.write(last_words)

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        sending = asyncio.ensure_future(transport.send(letter(), hand_over))
        await hand_over.begun.wait()
        await server.all_ended()
        hand_over.go_on.set()
        with pytest.raises(Dropped):
            await sending


@each_way
@pytest.mark.parametrize("commands", [0, 1, 2, 3])
async def test_cancelling_a_letter_ends_its_connection(offers: tuple[str, ...], commands: int) -> None:
    reached = asyncio.Event()

    async def stalling(wire: Wire) -> None:
        await wire.greet(*offers)
        for verb in ("MAIL", "RCPT", "DATA")[:commands]:
            await wire.read_line()
            await wire.write(usual(verb, ""))
        await (wire.read_text() if commands == 3 else wire.read_line())
        reached.set()
        await wire.silence()

    async with ScriptedServer(stalling, greeting(*offers)) as server, transport_to(server.port) as transport:
        sending = asyncio.ensure_future(transport.send(letter(), HandOver()))
        await reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.all_ended()
        assert await transport.send(letter(), HandOver()) == TAKEN
