"""A real SMTP server on loopback that behaves as the recipient's address says.

`python -m tests.smtp_server --port 0 --log FILE` runs it as a program of its own.
"""

import argparse
import asyncio
import os
import re
import signal
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, syntax

from tests.certificates import Authority

Security = Literal["none", "starttls", "tls"]
Stage = Literal["rcpt", "data", "body"]
STALL, DROP = "stall", "drop"
Policy = Callable[[Stage, str], str]
"""From a stage and the recipient's address to a reply line, STALL, DROP, or "" for the usual reply.

A letter that is stalled or dropped at `body` was accepted: only the reply is lost.
"""

_POLICY = re.compile(r"(rcpt|data|body)-(?:(\d{3})(?:-(\d\.\d+\.\d+))?|(stall|drop))(?:\+.*)?@.*")


def by_local_part(stage: Stage, recipient: str) -> str:
    """Follow the address: `rcpt-550-5.1.1@…`, `data-451@…`, `body-drop+7@…`."""
    match = _POLICY.fullmatch(recipient)
    if match is None or match[1] != stage:
        return ""
    return match[4] or " ".join(filter(None, (match[2], match[3], "as you wish")))


@dataclass(frozen=True)
class Accepted:
    """An accepted message."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes


class MailServer:
    """An aiosmtpd server on 127.0.0.1 that keeps what it accepts; an asynchronous context manager.

    `on_accepted` is called before the client gets the reply. `port` is known once it is entered.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        security: Security = "none",
        tls_context: ssl.SSLContext | None = None,
        login: tuple[str, str] = ("", ""),
        policy: Policy = by_local_part,
        on_accepted: Callable[[Accepted], None] | None = None,
        pipelining: bool = True,
        size_limit: int | None = None,
    ) -> None:
        self.port = port
        self.accepted: list[Accepted] = []
        self._one_more = asyncio.Event()
        self.sessions = 0
        self.most_at_once = 0
        self.open: set[_Connection] = set()
        self.none_open = asyncio.Event()
        self.none_open.set()
        self.policy = policy
        self.security = security
        self.tls_context = tls_context
        self.pipelining = pipelining
        self.size_limit = size_limit
        self.needs_login = login != ("", "")
        self.logins: list[tuple[str, str]] = []
        self._login = login
        self._on_accepted = on_accepted

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        context = self.tls_context if self.security == "tls" else None
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.die()
        await self.none_open.wait()
        await self._server.wait_closed()

    async def has_accepted(self, count: int) -> None:
        """Wait until it has accepted so many messages."""
        while len(self.accepted) < count:
            self._one_more.clear()
            await self._one_more.wait()

    def die(self) -> None:
        """Drop every connection and accept no other, like a killed server."""
        self._server.close()
        for connection in list(self.open):
            connection.drop()

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _kind: str, login: Any) -> AuthResult:
        assert isinstance(login, LoginPassword)
        credentials = (login.login.decode(), login.password.decode())
        if credentials == self._login:
            self.logins.append(credentials)
        return AuthResult(success=credentials == self._login, handled=False)

    # aiosmtpd calls these

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, lines: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [lines[0], *(["250-PIPELINING"] if self.pipelining else []), *lines[1:]]

    async def handle_RCPT(  # noqa: N802
        self, server: "_Connection", _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = await server.apply_policy("rcpt", address)
        if not reply:
            envelope.rcpt_tos.append(address)
        return reply or "250 2.1.5 ok"

    async def handle_DATA(self, server: "_Connection", _session: Session, envelope: Envelope) -> str:  # noqa: N802
        recipients = tuple(envelope.rcpt_tos)
        action = self.policy("body", recipients[0])
        if action in ("", STALL, DROP):
            message = Accepted(envelope.mail_from or "", recipients, envelope.original_content or b"")
            self.accepted.append(message)
            self._one_more.set()
            if self._on_accepted:
                self._on_accepted(message)
        return await server.apply_policy("body", recipients[0]) or "250 2.0.0 taken"


class _Connection(SMTP):
    """One connection to a MailServer."""

    def __init__(self, server: MailServer) -> None:
        self._owner = server
        with warnings.catch_warnings(action="ignore"):  # it does not know that TLS may have been negotiated before
            super().__init__(
                server,
                hostname="mx.test",
                ident="ready",
                loop=asyncio.get_running_loop(),
                data_size_limit=server.size_limit,
                tls_context=server.tls_context if server.security == "starttls" else None,
                require_starttls=server.security == "starttls",
                authenticator=server.authenticate,
                auth_required=server.needs_login,
                auth_require_tls=server.security == "starttls",
                auth_exclude_mechanism=None if server.needs_login else ["LOGIN", "PLAIN"],
            )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self not in self._owner.open:  # it is called again after STARTTLS
            self._owner.open.add(self)
            self._owner.none_open.clear()
            self._owner.sessions += 1
            self._owner.most_at_once = max(self._owner.most_at_once, len(self._owner.open))

    def connection_lost(self, error: Exception | None) -> None:
        self._owner.open.discard(self)
        if not self._owner.open:
            self._owner.none_open.set()
        super().connection_lost(error)

    def drop(self) -> None:
        (self._original_transport or self.transport).abort()  # type: ignore[union-attr]
        if self._tls_protocol and self.session and self.session.ssl is None:
            self.connection_lost(None)  # which asyncio does not do during a handshake

    async def apply_policy(self, stage: Stage, recipient: str) -> str:
        """Return the policy's reply, or never return."""
        action = self._owner.policy(stage, recipient)
        if action == DROP:
            self.drop()
        if action in (DROP, STALL):
            await asyncio.Event().wait()  # until the connection ends
        return action

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        assert self.envelope is not None
        recipients = self.envelope.rcpt_tos
        if recipients and (reply := await self.apply_policy("data", recipients[0])):
            await self.push(reply)
        else:
            await super().smtp_DATA(arg)


def _logger(path: Path) -> Callable[[Accepted], None]:
    """Append and fsync a line with Message-ID and recipients for each accepted message."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def log(accepted: Accepted) -> None:
        headers = BytesHeaderParser().parsebytes(accepted.message)
        os.write(descriptor, f"{headers['Message-ID']}\t{','.join(accepted.recipients)}\n".encode())
        os.fsync(descriptor)

    return log


async def _run(options: argparse.Namespace) -> None:
    context = Authority(options.certificates).server_context() if options.security != "none" else None
    server = MailServer(
        port=options.port,
        security=options.security,
        tls_context=context,
        login=(options.user, options.password),
        on_accepted=_logger(options.log),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        print(f"listening on 127.0.0.1:{server.port}", flush=True)  # noqa: T201
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.smtp_server")
    parser.add_argument("--port", type=int, default=0, help="0: any free one; the first line of the output names it")
    parser.add_argument("--log", type=Path, required=True, help="gets a line for each accepted message")
    parser.add_argument("--security", choices=("none", "starttls", "tls"), default="none")
    parser.add_argument("--certificates", type=Path, help="folder for the ca.pem that clients are to trust")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
