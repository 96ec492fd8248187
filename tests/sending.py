"""Sending letters over SMTP in tests."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.clock import Clock
from app.domain.retry import Reply
from app.mail.envelope import Envelope
from app.mail.smtp.protocol import Timeouts
from app.mail.smtp.transport import SmtpTransport
from app.settings import Security, SmtpServer
from tests.clock import FrozenClock

TAKEN = Reply(250, "2.0.0", "taken", "body")
PATIENT = Timeouts(connect=60, command=60, answer=60, quit=2, idle=600)


def letter(
    name: str = "reader", text: bytes = b"Subject: hello\r\n\r\nhello\r\n", domain: str = "reader.test"
) -> Envelope:
    return Envelope("letters@slow.test", f"{name}@{domain}", text)


class HandOver:
    """Counts, and returns whether the claim is still held."""

    def __init__(self, *, held: bool = True) -> None:
        self.times = 0
        self._held = held

    async def __call__(self) -> bool:
        self.times += 1
        return self._held


class WaitingHandOver:
    """Waits until `go_on` is set."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self) -> bool:
        self.begun.set()
        await self.go_on.wait()
        return True


@asynccontextmanager
async def transport_to(
    port: int,
    *,
    security: Security = "none",
    login: tuple[str, str] = ("", ""),
    connections: int = 1,
    messages: int = 1000,
    timeouts: Timeouts = PATIENT,
    trusted: ssl.SSLContext | None = None,
    clock: Clock | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[SmtpTransport]:
    transport = SmtpTransport(
        SmtpServer(host, port, security, *login),
        connections=connections,
        messages_per_connection=messages,
        clock=clock or FrozenClock(),
        timeouts=timeouts,
        tls_context=trusted,
        local_hostname="localhost",
    )
    try:
        yield transport
    finally:
        await transport.close()
