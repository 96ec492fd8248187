"""Connecting to a mail server: TLS, login, outages; on both event loops that uvicorn may choose."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from app.mail.envelope import Unavailable
from app.mail.smtp.transport import SmtpTransport
from app.settings import Security, SmtpServer
from tests.certificates import Authority
from tests.clock import FrozenClock
from tests.sending import PATIENT, TAKEN, HandOver, letter, transport_to
from tests.smtp_script import Script, ScriptedServer, Wire, greeting
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio

LOGIN = ("slow@mailbox", "pässwörd")
IMPATIENT = replace(PATIENT, connect=0.1, command=0.1, quit=0.1)
securities = pytest.mark.parametrize("security", ["starttls", "tls"])


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other_authority"))


async def outage(port: int, **options: Any) -> Unavailable:
    """Send a letter to a server that cannot be used."""
    hand_over = HandOver()
    async with transport_to(port, **options) as transport:
        with pytest.raises(Unavailable) as caught:
            await transport.send(letter(), hand_over)
    assert hand_over.times == 0
    return caught.value


# Each kind of URL


async def test_plain() -> None:
    async with MailServer() as server, transport_to(server.port) as transport:
        assert await transport.send(letter(text=b"Subject: hi\r\n\r\n.\r\n..\r\n"), HandOver()) == TAKEN
    (accepted,) = server.accepted
    assert accepted.sender == "letters@slow.test"
    assert accepted.recipients == ("reader@reader.test",)
    assert accepted.message == b"Subject: hi\r\n\r\n.\r\n..\r\n"


@securities
@pytest.mark.parametrize("login", [("", ""), LOGIN])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_tls(authority: Authority, security: Security, login: tuple[str, str], host: str) -> None:
    server = MailServer(security=security, tls_context=authority.server_context(), login=login)
    trusted = authority.client_context()
    async with (
        server,
        transport_to(server.port, security=security, login=login, trusted=trusted, host=host) as transport,
    ):
        assert await transport.send(letter(), HandOver()) == TAKEN
        assert await transport.send(letter("rcpt-550-5.1.1"), HandOver()) != TAKEN
        assert await transport.send(letter(), HandOver()) == TAKEN
    assert server.sessions == 1
    assert server.logins == ([login] if login[0] else [])


@securities
async def test_a_certificate_of_an_unknown_authority_is_refused(
    authority: Authority, other_authority: Authority, security: Security
) -> None:
    async with MailServer(security=security, tls_context=authority.server_context(), login=LOGIN) as server:
        error = await outage(server.port, security=security, login=LOGIN, trusted=other_authority.client_context())
        assert error.permanent
        assert "certificate" in str(error)
        assert (await outage(server.port, security=security, login=LOGIN)).permanent  # the system's own authorities
    assert server.logins == []


@securities
async def test_a_certificate_of_another_name_is_refused(tmp_path: Path, security: Security) -> None:
    elsewhere = Authority(tmp_path, x509.DNSName("elsewhere.test"))
    async with MailServer(security=security, tls_context=elsewhere.server_context()) as server:
        error = await outage(server.port, security=security, trusted=elsewhere.client_context())
    assert error.permanent


@securities
async def test_a_failed_handshake_is_a_temporary_outage(authority: Authority, security: Security) -> None:
    async def nonsense(wire: Wire) -> None:
        if security == "starttls":
            await wire.greet("STARTTLS")
            await wire.read_line()
            await wire.write("220 go on\n")
        await wire.read_bytes()
        await wire.write("this is no TLS\n")
        await wire.silence()

    async with ScriptedServer(nonsense) as server:
        assert not (await outage(server.port, security=security, trusted=authority.client_context())).permanent


async def test_missing_starttls_is_a_permanent_outage(authority: Authority) -> None:
    async with MailServer() as server:
        error = await outage(server.port, security="starttls", trusted=authority.client_context())
    assert error.permanent
    assert server.accepted == []


async def test_a_temporary_refusal_of_starttls_is_a_temporary_outage() -> None:
    async def script(wire: Wire) -> None:
        await wire.greet("STARTTLS")
        await wire.read_line()
        await wire.write("454 4.7.0 not now\n")
        await wire.silence()

    async with ScriptedServer(script) as server:
        error = await outage(server.port, security="starttls")
    assert not error.permanent
    assert "454 4.7.0 not now" in str(error)


# Login


@securities
async def test_a_wrong_password_is_a_permanent_outage(authority: Authority, security: Security) -> None:
    async with MailServer(security=security, tls_context=authority.server_context(), login=LOGIN) as server:
        wrong = (LOGIN[0], "wrong-password")
        error = await outage(server.port, security=security, login=wrong, trusted=authority.client_context())
    assert error.permanent
    assert "535" in str(error)
    assert "wrong-password" not in str(error)


@pytest.mark.parametrize(
    ("offer", "answer", "permanent"),
    [
        ("HELP", "", True),
        ("AUTH GSSAPI", "", True),
        ("AUTH PLAIN", "530 5.7.0 first do this\n", True),
        ("AUTH PLAIN", "534 5.7.9 too weak\n", True),
        ("AUTH PLAIN", "535 5.7.8 no\n", True),
        ("AUTH PLAIN", "538 5.7.11 not so\n", True),
        ("AUTH PLAIN", "454 4.7.0 not now\n", False),
        ("AUTH PLAIN", "421 4.3.2 going down\n", False),
    ],
)
async def test_replies_to_a_login(authority: Authority, offer: str, answer: str, *, permanent: bool) -> None:
    async def script(wire: Wire) -> None:
        await wire.greet(offer)
        await wire.read_line()
        await wire.write(answer)
        await wire.silence()

    async with ScriptedServer(script, tls_context=authority.server_context()) as server:
        error = await outage(server.port, security="tls", login=LOGIN, trusted=authority.client_context())
    assert error.permanent is permanent


def test_a_password_without_tls_is_refused() -> None:
    with pytest.raises(ValueError, match="without TLS"):
        SmtpTransport(
            SmtpServer("127.0.0.1", 25, "none", *LOGIN),
            connections=1,
            messages_per_connection=1,
            clock=FrozenClock(),
        )


# Outages


def greeted_with(greeting_line: str) -> Script:
    async def script(wire: Wire) -> None:
        await wire.write(greeting_line)
        if greeting_line:
            await wire.read_line()
            await wire.write("502 5.5.1 no EHLO here\n")
        await wire.silence()

    return script


async def hangs_up(wire: Wire) -> None:
    wire.drop()


async def byte_by_byte(wire: Wire) -> None:
    while True:
        await wire.write_bytewise("220-")


@pytest.mark.parametrize(
    "script",
    [
        greeted_with(""),
        greeted_with("220 ready\n"),
        greeted_with("421 4.3.2 busy\n"),
        greeted_with("451 later\n"),
        greeted_with("554 5.7.1 not you\n"),
        greeted_with("250 ready\n"),
        greeted_with("hello\n"),
        greeted_with("22"),
        hangs_up,
        byte_by_byte,
    ],
    ids=["silent", "no EHLO", "421", "451", "554", "250", "garbage", "half", "dropped", "endless"],
)
async def test_a_server_that_does_not_greet_is_an_outage(script: Script) -> None:
    async with ScriptedServer(script) as server:
        assert not (await outage(server.port, timeouts=IMPATIENT)).permanent


async def test_a_closed_port_is_a_temporary_outage() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert not (await outage(closed.getsockname()[1])).permanent


async def test_the_next_letter_tries_again() -> None:
    async with ScriptedServer(greeted_with("421 busy\n"), greeting()) as server, transport_to(server.port) as transport:
        with pytest.raises(Unavailable):
            await transport.send(letter(), HandOver())
        assert await transport.send(letter(), HandOver()) == TAKEN


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_cancelled_while_connecting(authority: Authority, security: Security) -> None:
    reached = asyncio.Event()

    async def mute(wire: Wire) -> None:
        if security == "starttls":
            await wire.greet("STARTTLS")
            await wire.read_line()
            await wire.write("220 go on\n")
        reached.set()
        await wire.silence()

    trusted = authority.client_context()
    async with (
        ScriptedServer(mute) as server,
        transport_to(server.port, security=security, trusted=trusted) as transport,
    ):
        sending = asyncio.ensure_future(transport.send(letter(), HandOver()))
        await reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.all_ended()
