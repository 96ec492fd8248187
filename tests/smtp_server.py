"""A real SMTP server on loopback that behaves as the reader's address asks.

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
"""From a stage and the reader's address to a reply line, STALL, DROP, or "" for what is usual.

A letter that is stalled or dropped at `body` was accepted: only the answer is lost.
"""

_WISH = re.compile(r"(rcpt|data|body)-(?:(\d{3})(?:-(\d\.\d+\.\d+))?|(stall|drop))(?:\+.*)?@.*")


def by_local_part(stage: Stage, recipient: str) -> str:
    """Do as the address says: `rcpt-550-5.1.1@…`, `data-451@…`, `body-drop+7@…`."""
    wish = _WISH.fullmatch(recipient)
    if wish is None or wish[1] != stage:
        return ""
    return wish[4] or " ".join(filter(None, (wish[2], wish[3], "as you wish")))


@dataclass(frozen=True)
class Accepted:
    """A message that the server has taken over."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes


class MailServer:
    """An aiosmtpd server on 127.0.0.1 that keeps what it accepts; an asynchronous context manager.

    `on_accepted` is called before the sender is told so. `port` is known once it is entered.
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
        """Drop every connection and take no other, as a server that is killed."""
        self._server.close()
        for connection in list(self.open):
            connection.drop()

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _kind: str, login: Any) -> AuthResult:
        assert isinstance(login, LoginPassword)
        said = (login.login.decode(), login.password.decode())
        if said == self._login:
            self.logins.append(said)
        return AuthResult(success=said == self._login, handled=False)

    # aiosmtpd calls these

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, lines: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [lines[0], *(["250-PIPELINING"] if self.pipelining else []), *lines[1:]]

    async def handle_RCPT(  # noqa: N802
        self, server: "_Connection", _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        said = await server.obey("rcpt", address)
        if not said:
            envelope.rcpt_tos.append(address)
        return said or "250 2.1.5 ok"

    async def handle_DATA(self, server: "_Connection", _session: Session, envelope: Envelope) -> str:  # noqa: N802
        recipients = tuple(envelope.rcpt_tos)
        wish = self.policy("body", recipients[0])
        if wish in ("", STALL, DROP):
            message = Accepted(envelope.mail_from or "", recipients, envelope.original_content or b"")
            self.accepted.append(message)
            self._one_more.set()
            if self._on_accepted:
                self._on_accepted(message)
        return await server.obey("body", recipients[0]) or "250 2.0.0 taken"


class _Connection(SMTP):
    """One connection to a MailServer."""

    def __init__(self, server: MailServer) -> None:
        self._owner = server
        with warnings.catch_warnings(action="ignore"):  # it does not see that TLS may have come first
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
            self.connection_lost(None)  # nobody else calls it in the middle of a handshake

    async def obey(self, stage: Stage, recipient: str) -> str:
        """Return the reply that the policy wants, or never return."""
        said = self._owner.policy(stage, recipient)
        if said == DROP:
            self.drop()
        if said in (DROP, STALL):
            await asyncio.Event().wait()  # until the connection ends
        return said

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        assert self.envelope is not None
        recipients = self.envelope.rcpt_tos
        if recipients and (said := await self.obey("data", recipients[0])):
            await self.push(said)
        else:
            await super().smtp_DATA(arg)


def _logger(path: Path) -> Callable[[Accepted], None]:
    """Return what appends a line with Message-ID and readers for each accepted message, and lets it reach the disk."""
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
