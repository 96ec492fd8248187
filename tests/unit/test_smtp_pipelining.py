"""Letters that follow each other over one connection: the next one is offered behind the text of this one."""

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


async def offered_behind(wire: Wire) -> list[str]:
    """Greet, take the first letter's text without a word, and return what is offered behind it."""
    await wire.greet("PIPELINING")
    await wire.take_commands()
    await wire.hear_text()
    return [await wire.hear() for _ in range(3)]


@asynccontextmanager
async def two_letters(
    *scripts: Script, behind: HandOver | WaitingHandOver | None = None, **options: object
) -> AsyncIterator[tuple[SmtpTransport, Sending, Sending]]:
    """Send two letters at once over one connection; proper connections follow those of the scripts."""
    async with (
        ScriptedServer(*scripts, greeting("PIPELINING")) as server,
        transport_to(server.port, **options) as transport,  # type: ignore[arg-type]
    ):
        first = asyncio.ensure_future(transport.send(letter("a"), HandOver()))
        second = asyncio.ensure_future(transport.send(letter("b"), behind or HandOver()))
        yield transport, first, second


async def test_a_round_trip_a_letter() -> None:
    async def script(wire: Wire) -> None:
        offered = await offered_behind(wire)
        assert offered == ["MAIL FROM:<letters@slow.test>", "RCPT TO:<b@reader.test>", "DATA"]
        await wire.say("250 2.0.0 taken\n250 ok\n250 ok\n354 go on\n")
        await wire.hear_text()
        await wire.say("250 2.0.0 taken\n")
        await wire.converse()

    async with two_letters(script) as (_, first, second):
        assert await first == TAKEN
        assert await second == TAKEN


async def test_without_pipelining_nothing_is_written_behind_a_text() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet()
        await wire.take_commands()
        await wire.hear_text()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await wire.hear()
        await wire.say("250 2.0.0 taken\n")
        await wire.converse()

    async with two_letters(script) as (_, first, second):
        assert await first == TAKEN
        assert await second == TAKEN


@pytest.mark.parametrize("last_words", [None, "hello\n", "25", "354 go on\n"])
async def test_a_connection_lost_past_the_final_dot_costs_only_the_letter_whose_dot_it_was(
    last_words: str | None,
) -> None:
    async def script(wire: Wire) -> None:
        await offered_behind(wire)
        if last_words is None:
            wire.drop()
        else:
            await wire.say(last_words)

    hand_over = HandOver()
    async with two_letters(script, behind=hand_over) as (_, first, second):
        with pytest.raises(Unanswered):
            await first
        assert await second == TAKEN
    assert hand_over.times == 1


@pytest.mark.parametrize(
    ("said", "to_the_first"),
    [
        ("421 4.3.2 going down\n", Reply(421, "4.3.2", "going down", "body")),
        ("250 2.0.0 taken\n421 4.3.2 going down\n", TAKEN),
        ("250 2.0.0 taken\n", TAKEN),
        ("250 2.0.0 taken\n503 5.5.1 nested MAIL\n503 no\n503 no\n", TAKEN),
        ("552 5.3.4 no\n503 5.5.1 nested MAIL\n503 no\n503 no\n", Reply(552, "5.3.4", "no", "body")),
    ],
)
async def test_what_ends_a_connection_before_its_first_answer_is_not_blamed_on_a_letter(
    said: str, to_the_first: Reply
) -> None:
    async def script(wire: Wire) -> None:
        await offered_behind(wire)
        await wire.say(said)

    async with two_letters(script) as (_, first, second):
        assert await first == to_the_first
        assert await second == TAKEN


async def test_a_letter_that_costs_two_connections_is_dropped_and_nobody_else_with_it() -> None:
    """The second connection is its own: no other letter's text is written before it."""

    async def drops_b(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        while True:
            commands = [await wire.hear() for _ in range(3)]
            if commands[0] == "QUIT" or "<b@" in commands[1]:
                wire.drop()
                return
            await wire.say("250 ok\n250 ok\n354 go on\n")
            await wire.hear_text()
            await wire.say("250 2.0.0 taken\n")

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
async def test_a_reader_refused_behind_a_text_is_the_second_letters_alone(refused: str) -> None:
    async def script(wire: Wire) -> None:
        await offered_behind(wire)
        await wire.say("250 2.0.0 taken\n250 ok\n" + refused)
        if "354" in refused:
            assert await wire.hear() == "."
            await wire.say("554 5.5.1 no valid recipients\n")
        await wire.converse()

    async with two_letters(script) as (transport, first, second):
        assert await first == TAKEN
        assert await second == Reply(550, "5.1.1", "no", "rcpt")
        assert await transport.send(letter("c"), HandOver()) == TAKEN


async def test_one_answer_too_many_is_not_taken_for_the_next_letters() -> None:
    """Its hand-over is on record already, so nothing but the order of answers keeps it from being called sent."""

    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        await wire.converse(letters=1)
        await wire.take_commands()
        await wire.hear_text()
        for _ in range(3):
            await wire.hear()
        await hand_over.begun.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        await wire.say("250 2.0.0 taken\n250 ok\n250 ok\n354 go on\n250 2.0.0 taken\n")
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


async def test_a_hand_over_is_put_on_record_while_a_slow_server_thinks() -> None:
    """Once its answers have shown to take longer than our records; here it answers only when that was done."""
    hand_over = WaitingHandOver()
    begun: list[str] = []

    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING")
        await wire.converse(letters=1)
        await wire.take_commands()
        await wire.hear_text()
        await hand_over.begun.wait()
        for _ in range(3):
            await wire.hear()
        assert begun == []
        await wire.say("250 2.0.0 taken\n250 ok\n250 ok\n354 go on\n")
        hand_over.go_on.set()
        await wire.hear_text()
        assert begun == ["b"]
        await wire.say("250 2.0.0 taken\n")
        await wire.converse()

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN
        first = asyncio.ensure_future(transport.send(letter("a"), HandOver()))
        second = asyncio.ensure_future(transport.send(letter("b"), hand_over, on_final_dot=lambda: begun.append("b")))
        assert await first == TAKEN
        assert await second == TAKEN


@pytest.mark.parametrize("messages", [1, 2, 3])
async def test_no_letter_is_offered_behind_the_last_one_of_a_connection(messages: int) -> None:
    async with (
        ScriptedServer(greeting("PIPELINING")) as server,
        transport_to(server.port, messages=messages) as transport,
    ):
        replies = await asyncio.gather(*(transport.send(letter(), HandOver()) for _ in range(6)))
        assert replies == [TAKEN] * 6
    assert [len(wire.texts) for wire in server.wires] == [messages] * (6 // messages)
