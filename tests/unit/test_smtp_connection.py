"""Commands and replies of one connection, and refusals."""

import asyncio
import re
from itertools import product

import pytest

from app.domain.retry import Reply, Stage
from app.mail.envelope import Envelope
from tests.sending import TAKEN, HandOver, letter, transport_to
from tests.smtp_script import ScriptedServer, Wire, after, greeting, usual

pytestmark = pytest.mark.anyio

each_way = pytest.mark.parametrize("offers", [("PIPELINING",), ()], ids=["pipelined", "one-by-one"])
STAGES: tuple[Stage, ...] = ("mail", "rcpt", "data", "body")


async def test_all_three_commands_are_written_before_the_first_answer() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet("PIPELINING", "SIZE 1000")
        lines = [await wire.read_line() for _ in range(3)]
        assert lines == ["MAIL FROM:<letters@slow.test> SIZE=25", "RCPT TO:<reader@reader.test>", "DATA"]
        await wire.write("250 ok\n250 ok\n354 go on\n")
        await wire.read_text()
        await wire.write("250 2.0.0 taken\n")
        await wire.serve()

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN


async def test_without_pipelining_nothing_follows_a_refusal() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet()
        await wire.serve(
            lambda verb, who: "550 5.1.1 no\n" if (verb, "nobody" in who) == ("RCPT", True) else usual(verb, "")
        )

    async with ScriptedServer(script) as server, transport_to(server.port) as transport:
        assert await transport.send(letter("nobody"), HandOver()) == Reply(550, "5.1.1", "no", "rcpt")
        assert await transport.send(letter(), HandOver()) == TAKEN
    verbs = [line.partition(" ")[0] for line in server.wires[0].lines]
    assert verbs == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


@each_way
@pytest.mark.parametrize(
    ("text", "wire_text"),
    [
        (b"Subject: a\r\n\r\nb\r\n", b"Subject: a\r\n\r\nb\r\n"),
        (b".\r\n..\r\n.a\r\nb.\r\n", b"..\r\n...\r\n..a\r\nb.\r\n"),
        (b"no end of line", b"no end of line\r\n"),
        (b"ends in a dot\r\n.", b"ends in a dot\r\n..\r\n"),
        (b"", b"\r\n"),
        (b"x" * 70 + b"\r\n" + b"yz\r\n" * 20_000, b"x" * 70 + b"\r\n" + b"yz\r\n" * 20_000),
    ],
)
async def test_a_dot_at_a_line_start_is_doubled(offers: tuple[str, ...], text: bytes, wire_text: bytes) -> None:
    async with ScriptedServer(greeting(*offers)) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(text=text), HandOver()) == TAKEN
    assert server.wires[0].texts == [wire_text]


# Refusals

MAIL_ANSWERS = (250, 451, 550)
RCPT_ANSWERS = (250, 450, 550)
DATA_ANSWERS = (354, 451, 554)
BODY_ANSWERS = (250, 452, 552)


def as_named(verb: str, envelope: str) -> str:
    """Reply with the codes in the envelope's name (`n-mail-rcpt-data-body`), and the name."""
    if verb == "RSET":
        return "250 forgotten\n"
    name = re.findall(r"<(.*?)@", envelope)[0 if verb == "MAIL" else -1]
    code = name.split("-")[("MAIL", "RCPT", "DATA", ".").index(verb) + 1]
    return f"{code} {name}\n"


def named(name: str) -> Envelope:
    return Envelope(f"{name}@slow.test", f"{name}@reader.test", b"hello\r\n")


def expected(name: str) -> Reply:
    """Return the first refusal, or the final reply."""
    codes = zip(map(int, name.split("-")[1:]), STAGES, strict=True)
    code, stage = next((code, stage) for code, stage in codes if code >= 400 or stage == "body")
    return Reply(code, "", name, stage)


async def replying_as_named(wire: Wire, *offers: str) -> None:
    await wire.greet(*offers)
    await wire.serve(as_named)


@each_way
@pytest.mark.parametrize("codes", list(product(MAIL_ANSWERS, RCPT_ANSWERS, DATA_ANSWERS)), ids=str)
async def test_a_refusal_never_shifts_an_answer_to_the_next_letter(
    offers: tuple[str, ...], codes: tuple[int, int, int]
) -> None:
    refused = "a-{}-{}-{}-250".format(*codes)
    async with (
        ScriptedServer(lambda wire: replying_as_named(wire, *offers)) as server,
        transport_to(server.port) as transport,
    ):
        for name in (refused, "b-250-250-354-250", refused, refused, "c-250-550-554-250", "d-250-250-354-250"):
            hand_over, replies = HandOver(), list[Reply]()
            assert await transport.send(named(name), hand_over, replies.append) == expected(name)
            assert hand_over.times == (expected(name).stage == "body")
            assert replies == [expected(name)] * hand_over.times


@each_way
async def test_every_mix_side_by_side_gets_its_own_answer(offers: tuple[str, ...]) -> None:
    mixes = product(MAIL_ANSWERS, RCPT_ANSWERS, DATA_ANSWERS, BODY_ANSWERS)
    names = [f"{number}-" + "-".join(map(str, codes)) for number, codes in enumerate(mixes)]
    async with (
        ScriptedServer(lambda wire: replying_as_named(wire, *offers)) as server,
        transport_to(server.port, connections=3) as transport,
    ):
        replies = await asyncio.gather(*(transport.send(named(name), HandOver()) for name in names))
    assert replies == [expected(name) for name in names]


async def test_a_text_expected_after_a_refused_recipient_is_a_lone_dot() -> None:
    async with (
        ScriptedServer(lambda wire: replying_as_named(wire, "PIPELINING")) as server,
        transport_to(server.port) as transport,
    ):
        await transport.send(named("a-250-550-354-554"), HandOver())
        await transport.send(named("b-250-250-354-250"), HandOver())
    assert len(server.wires) == 1
    assert server.wires[0].texts == [b"", b"hello\r\n"]


async def test_no_empty_letter_is_sent_where_only_the_sender_was_refused() -> None:
    async with (
        ScriptedServer(lambda wire: replying_as_named(wire, "PIPELINING")) as server,
        transport_to(server.port) as transport,
    ):
        await transport.send(named("a-550-250-354-250"), HandOver())
    assert server.wires[0].texts == []


@each_way
@pytest.mark.parametrize("commands", [0, 1, 2, 3])
async def test_421_is_the_reply_and_closes_the_connection(offers: tuple[str, ...], commands: int) -> None:
    scripts = after(*offers, commands=commands, then="421 4.3.2 going down\n"), greeting(*offers)
    async with ScriptedServer(*scripts) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == Reply(421, "4.3.2", "going down", STAGES[commands])
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert len(server.wires) == 2


# Refused without a command


@pytest.mark.parametrize(
    ("offer", "option"), [("SIZE 25", " SIZE=25"), ("SIZE 0", " SIZE=25"), ("SIZE", " SIZE=25"), ("HELP", "")]
)
async def test_the_size_is_declared_where_the_server_offers_it(offer: str, option: str) -> None:
    async with ScriptedServer(greeting(offer)) as server, transport_to(server.port) as transport:
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert server.wires[0].lines[1] == f"MAIL FROM:<letters@slow.test>{option}"


async def test_a_letter_too_large_is_not_offered() -> None:
    async with ScriptedServer(greeting("SIZE 24")) as server, transport_to(server.port) as transport:
        reply = await transport.send(letter(), HandOver())
        assert (reply.code, reply.enhanced, reply.stage) == (552, "5.3.4", "mail")
        assert await transport.send(letter(text=b"short\r\n"), HandOver()) == TAKEN
    verbs = [line.partition(" ")[0] for line in server.wires[0].lines]
    assert verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize(
    "address", ["a@b.test>\r\nRCPT TO:<c@d.test", "a b@c.test", "a@b.test\n", "가@b.test", "a", ""]
)
async def test_a_malformed_address_never_reaches_the_server(address: str) -> None:
    async with ScriptedServer(greeting()) as server, transport_to(server.port) as transport:
        reply = await transport.send(Envelope("", address, b"hello\r\n"), HandOver())
        assert (reply.code, reply.enhanced, reply.stage) == (553, "5.1.3", "rcpt")
    assert server.wires == []


async def test_a_notice_has_no_sender() -> None:
    async with ScriptedServer(greeting()) as server, transport_to(server.port) as transport:
        await transport.send(Envelope("", "reader@reader.test", b"hello\r\n"), HandOver())
    assert server.wires[0].lines[1] == "MAIL FROM:<>"
