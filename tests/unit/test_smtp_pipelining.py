"""Letters that follow each other over one connection: commands are written behind the text before them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from app.domain.retry import Reply
from app.mail.envelope import Dropped, Unanswered
from app.mail.smtp.transport import SmtpTransport
from tests.sending import PATIENT, TAKEN, HandOver, WaitingHandOver, letter, transport_to
from tests.smtp_script import Script, ScriptedServer, Wire, greeting

pytestmark = pytest.mark.anyio

Sending = asyncio.Future[Reply]


async def commands_behind(wire: Wire) -> list[str]:
    """Greet, read the first letter's text without a reply, and return the commands behind it."""
    await wire.greet("PIPELINING")
    await wire.accept_commands()
    await wire.read_text()
    return [await wire.read_line() for _ in range(3)]


@asynccontextmanager
async def two_letters(
    *scripts: Script, behind: HandOver | WaitingHandOver | None = None, **options: object
) -> AsyncIterator[tuple[SmtpTransport, Sending, Sending]]:
    """Send two letters at once over one connection; further connections behave properly."""
    async with (
        ScriptedServer(*scripts, greeting("PIPELINING")) as server,
        transport_to(server.port, **options) as transport,  # type: ignore[arg-type]
    ):
        first = asyncio.ensure_future(transport.send(letter("a"), HandOver()))
        second = asyncio.ensure_future(transport.send(letter("b"), behind or HandOver()))
        yield transport, first, second


async def test_a_round_trip_a_letter() -> None:
    async def script(wire: Wire) -> None:
        commands = await commands_behind(wire)
        assert commands == ["MAIL FROM:<letters@slow.test>", "RCPT TO:<b@reader.test>", "DATA"]
        await wire.write("250 2.0.0 taken\n250 ok\n250 ok\n354 go on\n")
        await wire.read_text()
        await wire.write("250 2.0.0 taken\n")
        await wire.serve()

    async with two_letters(script) as (_, first, second):
        assert await first == TAKEN
        assert await second == TAKEN


async def test_without_pipelining_nothing_is_written_behind_a_text() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet()
        await wire.accept_commands()
        await wire.read_text()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await wire.read_line()
        await wire.write("250 2.0.0 taken\n")
        await wire.serve()

    async with two_letters(script) as (_, first, second):
        assert await first == TAKEN
        assert await second == TAKEN


@pytest.mark.parametrize("last_words", [None, "hello\n", "25", "354 go on\n"])
async def test_only_the_letter_whose_final_dot_was_written_is_unanswered(
    last_words: str | None,
) -> None:
    async def script(wire: Wire) -> None:
        await commands_behind(wire)
        if last_words is None:
            wire.drop()
        else:
            await wire.write(last_words)

    hand_over = HandOver()
    async with two_letters(script, behind=hand_over) as (_, first, second):
        with pytest.raises(Unanswered):
            await first
        assert await second == TAKEN
    assert hand_over.times == 1


@pytest.mark.parametrize(
    ("replies", "first_reply"),
    [
        ("421 4.3.2 going down\n", Reply(421, "4.3.2", "going down", "body")),
        ("250 2.0.0 taken\n421 4.3.2 going down\n", TAKEN),
        ("250 2.0.0 taken\n", TAKEN),
        ("250 2.0.0 taken\n503 5.5.1 nested MAIL\n503 no\n503 no\n", TAKEN),
        ("552 5.3.4 no\n503 5.5.1 nested MAIL\n503 no\n503 no\n", Reply(552, "5.3.4", "no", "body")),
    ],
)
async def test_a_connection_lost_before_its_first_reply_is_not_charged_to_a_letter(
    replies: str, first_reply: Reply
) -> None:
    async def script(wire: Wire) -> None:
        await commands_behind(wire)
        await wire.write(replies)

    async with two_letters(script) as (_, first, second):
        assert await first == first_reply
        assert await second == TAKEN


async def test_only_the_letter_that_loses_two_connections_is_dropped() -> None:
    """Its second connection is new: no other letter's text is written before it."""

    async def drops_b(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        while True:
            commands = [await wire.read_line() for _ in range(3)]
            if commands[0] == "QUIT" or "<b@" in commands[1]:
                wire.drop()
                return
            await wire.write("250 ok\n250 ok\n354 go on\n")
            await wire.read_text()
            await wire.write("250 2.0.0 taken\n")

    async with (
        ScriptedServer(drops_b) as server,
        transport_to(server.port, timeouts=replace(PATIENT, quit=0)) as transport,
    ):
        names = ["a", "b", "c", "d"]
        replies = await asyncio.gather(
            *(transport.send(letter(name), HandOver()) for name in names), return_exceptions=True
        )
        assert isinstance(replies[1], Dropped)
        assert [replies[0], *replies[2:]] == [TAKEN] * 3


@pytest.mark.parametrize("refused", ["550 5.1.1 no\n503 no\n", "550 5.1.1 no\n354 go on\n"])
async def test_a_recipient_refused_behind_a_text_concerns_the_second_letter_alone(refused: str) -> None:
    async def script(wire: Wire) -> None:
        await commands_behind(wire)
        await wire.write("250 2.0.0 taken\n250 ok\n" + refused)
        if "354" in refused:
            assert await wire.read_line() == "."
            await wire.write("554 5.5.1 no valid recipients\n")
        await wire.serve()

    async with two_letters(script) as (transport, first, second):
        assert await first == TAKEN
        assert await second == Reply(550, "5.1.1", "no", "rcpt")
        assert await transport.send(letter("c"), HandOver()) == TAKEN


async def test_an_extra_reply_is_not_taken_for_the_next_letters() -> None:
    """Its hand-over is on record already, so only the order of replies keeps it from being called sent."""

    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        await wire.serve(letters=1)
        await wire.accept_commands()
        await wire.read_text()
        for _ in range(3):
            await wire.read_line()
        await hand_over.begun.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        await wire.write("250 2.0.0 taken\n250 ok\n250 ok\n354 go on\n250 2.0.0 taken\n")
        await wire.silence()

    hand_over = WaitingHandOver()
    hand_over.go_on.set()
    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN
        first = asyncio.ensure_future(transport.send(letter("a"), HandOver()))
        second = asyncio.ensure_future(transport.send(letter("b"), hand_over))
        assert await first == TAKEN
        assert await second == TAKEN
    assert [len(wire.texts) for wire in server.wires] == [1, 1]  # the second one's text went over a new connection


async def test_a_hand_over_is_recorded_while_a_slow_server_works() -> None:
    """Once its replies are known to take longer than a commit; here it replies only after that."""
    hand_over = WaitingHandOver()
    dots: list[str] = []

    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        await wire.serve(letters=1)
        await wire.accept_commands()
        await wire.read_text()
        await hand_over.begun.wait()
        for _ in range(3):
            await wire.read_line()
        assert dots == []
        await wire.write("250 2.0.0 taken\n250 ok\n250 ok\n354 go on\n")
        hand_over.go_on.set()
        await wire.read_text()
        assert dots == ["b"]
        await wire.write("250 2.0.0 taken\n")
        await wire.serve()

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN
        first = asyncio.ensure_future(transport.send(letter("a"), HandOver()))
        second = asyncio.ensure_future(transport.send(letter("b"), hand_over, on_final_dot=lambda: dots.append("b")))
        assert await first == TAKEN
        assert await second == TAKEN


@pytest.mark.parametrize("messages", [1, 2, 3])
async def test_no_commands_are_written_behind_the_last_letter_of_a_connection(messages: int) -> None:
    async with (
        ScriptedServer(greeting("PIPELINING")) as server,
        transport_to(server.port, messages=messages) as transport,
    ):
        replies = await asyncio.gather(*(transport.send(letter(), HandOver()) for _ in range(6)))
        assert replies == [TAKEN] * 6
    assert [len(wire.texts) for wire in server.wires] == [messages] * (6 // messages)
