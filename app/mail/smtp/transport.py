"""The transport that hands letters over to a mail server (RFC 5321)."""

import asyncio
import re
import ssl
from datetime import UTC, datetime
from typing import cast

import aiosmtplib

from app.clock import Clock
from app.domain.retry import Reply
from app.mail.envelope import Envelope, HandOver, OnAnswered, OnBegun, Unavailable, unheard
from app.mail.smtp.connection import SmtpConnection
from app.mail.smtp.outgoing import OutgoingMessage
from app.mail.smtp.pool import Pool
from app.mail.smtp.protocol import DEFAULT_TIMEOUTS, Capabilities, Timeouts
from app.mail.smtp.replies import decoded, shown
from app.settings import SmtpServer

_ADDRESS = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")  # printable ASCII that cannot leave its angle brackets


class SmtpTransport:
    """Implements Transport over kept connections, never more than `connections` of them."""

    def __init__(
        self,
        server: SmtpServer,
        *,
        connections: int,
        messages_per_connection: int,
        clock: Clock,
        patience: Timeouts = DEFAULT_TIMEOUTS,
        tls_context: ssl.SSLContext | None = None,
        local_hostname: str | None = None,
    ) -> None:
        if server.username and server.security == "none":
            raise ValueError("a password never travels in clear")
        self._server = server
        self._patience = patience
        self._tls_context = tls_context or _verifying_context()
        self._local_hostname = local_hostname
        self._pool = Pool(
            connections=connections,
            messages_per_connection=messages_per_connection,
            idle_time=patience.idle,
            clock=clock,
        )

    async def send(
        self, envelope: Envelope, hand_over: HandOver, answered: OnAnswered = unheard, begun: OnBegun = unheard
    ) -> Reply:
        """See Transport.send. Waits for a connection as long as all of them are in use."""
        if not _ADDRESS.fullmatch(envelope.recipient):
            return Reply(553, "5.1.3", "no address that can be written to", "rcpt")
        passage = OutgoingMessage(envelope, hand_over, begun, answered)
        self._pool.admit(passage)
        try:
            while await passage.wants_connection():
                await self._connect_for(passage)
        except BaseException:
            self._pool.withdraw(passage)
            raise
        return passage.result()

    async def _connect_for(self, passage: OutgoingMessage) -> None:
        try:
            conversation = await self._connect()
        except Unavailable as outage:
            self._pool.not_connected(passage, outage)
        except BaseException:
            self._pool.leave_seat()
            raise
        else:
            self._pool.start(conversation, passage)

    async def try_out(self) -> Capabilities:
        """Connect, secure and log in as for a letter, and return what the server offers. Raises Outage."""
        self._pool.take_seat()
        try:
            conversation = await self._connect()
        except BaseException:
            self._pool.leave_seat()
            raise
        self._pool.rest(conversation)
        return conversation.offers

    async def close(self) -> None:
        """Say QUIT on every connection."""
        await self._pool.close()

    async def _connect(self) -> SmtpConnection:
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            use_tls=self._server.security == "tls",
            start_tls=False,  # the default falls back to plain text; `_introduce` insists
            tls_context=self._tls_context,
            timeout=None,  # its wait_for may swallow a cancellation; one time limit for all is set below
            local_hostname=self._local_hostname,
        )
        try:
            async with asyncio.timeout(self._patience.connect):
                await self._introduce(client)
            return self._conversation(client)
        except BaseException as error:
            client.close()
            if isinstance(error, aiosmtplib.SMTPException | OSError | ValueError):
                raise self._outage(error) from error
            raise

    async def _introduce(self, client: aiosmtplib.SMTP) -> None:
        """Greet, secure and log in. Raises what aiosmtplib raises, and Outage."""
        await client.connect()
        self._local_hostname = client.local_hostname  # looking it up may ask a name server: once is enough
        await client.ehlo()
        if self._server.security == "starttls":
            if not client.supports_extension("starttls"):
                raise Unavailable(f"{self._server.host} does not offer STARTTLS", ours=True)
            await client.starttls()
            await client.ehlo()  # what was said before is void (RFC 3207 §4.2)
        if self._server.username:
            if not client.supported_auth_methods:
                raise Unavailable(f"{self._server.host} offers no way to log in", ours=True)
            await client.login(self._server.username, self._server.password)

    def _conversation(self, client: aiosmtplib.SMTP) -> SmtpConnection:
        transport = cast("asyncio.Transport | None", client.transport)
        if transport is None or transport.is_closing():
            raise Unavailable(f"{self._server.host} closed the connection")
        size = client.esmtp_extensions.get("size")
        tls, certified_until = _security(transport)
        offers = Capabilities(
            pipelining=client.supports_extension("pipelining"),
            size=None if size is None else int(size) if size.isdecimal() else 0,
            tls=tls,
            certified_until=certified_until,
        )
        conversation = SmtpConnection(transport, offers, self._patience, self._pool)
        self._pool.opened(conversation)
        return conversation

    def _outage(self, error: Exception) -> Unavailable:
        """Say what kept us from the server, and whether it is ours to mend (RFC 4954 §6)."""
        host = self._server.host
        if isinstance(error, ssl.CertificateError) or isinstance(error.__cause__, ssl.CertificateError):
            return Unavailable(f"the certificate of {host} is not trusted: {shown(str(error))}", ours=True)
        if isinstance(error, aiosmtplib.SMTPAuthenticationError):
            return Unavailable(f"{host} refused the login: {_said(error)}", ours=error.code >= 500)
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return Unavailable(f"{host} refused us: {_said(error)}")
        if isinstance(error, TimeoutError):
            return Unavailable(f"{host} was not ready within {self._patience.connect:g} seconds")
        return Unavailable(f"{host} cannot be used: {shown(str(error))}")


def _said(error: aiosmtplib.SMTPResponseException) -> str:
    message = error.message.encode(errors="surrogateescape")  # as aiosmtplib decoded it
    return shown(f"{error.code} {decoded(message)}")


def _verifying_context() -> ssl.SSLContext:
    """Return a context that verifies certificate and name, and speaks TLS 1.2 or later."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _security(transport: asyncio.Transport) -> tuple[str, datetime | None]:
    """Return the version of TLS, and when the server's certificate runs out."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return "", None
    ends = ssl.cert_time_to_seconds(str((tls.getpeercert() or {})["notAfter"]))
    return tls.version() or "", datetime.fromtimestamp(ends, UTC)
