"""Transport over SMTP (RFC 5321)."""

import asyncio
import re
import ssl
from datetime import UTC, datetime
from typing import cast

import aiosmtplib

from app.clock import Clock
from app.domain.retry import Reply
from app.mail.envelope import Envelope, HandOver, OnFinalDot, OnReply, Unavailable, ignore
from app.mail.smtp.connection import OutgoingMessage, SmtpConnection
from app.mail.smtp.pool import Pool
from app.mail.smtp.protocol import DEFAULT_TIMEOUTS, Capabilities, Timeouts
from app.mail.smtp.replies import decoded, shown
from app.settings import SmtpServer

_ADDRESS = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")  # printable ASCII that cannot leave its angle brackets


class SmtpTransport:
    def __init__(
        self,
        server: SmtpServer,
        *,
        connections: int,
        messages_per_connection: int,
        clock: Clock,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        tls_context: ssl.SSLContext | None = None,
        local_hostname: str | None = None,
    ) -> None:
        if server.username and server.security == "none":
            raise ValueError("a password is never sent without TLS")
        self._server = server
        self._timeouts = timeouts
        self._tls_context = tls_context or _tls_context()
        self._local_hostname = local_hostname
        self._pool = Pool(
            connections=connections,
            messages_per_connection=messages_per_connection,
            idle_time=timeouts.idle,
            clock=clock,
        )

    async def send(
        self, envelope: Envelope, hand_over: HandOver, on_reply: OnReply = ignore, on_final_dot: OnFinalDot = ignore
    ) -> Reply:
        """See Transport.send. Waits while all connections are in use."""
        if not _ADDRESS.fullmatch(envelope.recipient):
            return Reply(553, "5.1.3", "not an address that mail can be sent to", "rcpt")
        message = OutgoingMessage(envelope, hand_over, on_reply, on_final_dot)
        self._pool.submit(message)
        try:
            while await message.needs_connection():
                await self._connect_for(message)
        except BaseException:
            self._pool.cancel(message)
            raise
        return message.result()

    async def _connect_for(self, message: OutgoingMessage) -> None:
        try:
            connection = await self._connect()
        except Unavailable as error:
            self._pool.not_connected(message, error)
        except BaseException:
            self._pool.release()
            raise
        else:
            self._pool.start(connection, message)

    async def probe(self) -> Capabilities:
        """Connect, secure and log in as for a letter. Raises Unavailable."""
        self._pool.reserve()
        try:
            connection = await self._connect()
        except BaseException:
            self._pool.release()
            raise
        self._pool.reuse(connection)
        return connection.capabilities

    async def close(self) -> None:
        await self._pool.close()

    async def _connect(self) -> SmtpConnection:
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            use_tls=self._server.security == "tls",
            start_tls=False,  # the default falls back to plain text; `_log_in` insists
            tls_context=self._tls_context,
            timeout=None,  # its wait_for may swallow a cancellation; see asyncio.timeout below
            local_hostname=self._local_hostname,
        )
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await self._log_in(client)
            return self._opened(client)
        except BaseException as error:
            client.close()
            if isinstance(error, aiosmtplib.SMTPException | OSError | ValueError):
                raise self._unavailable(error) from error
            raise

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        """Connect, secure and log in. Raises what aiosmtplib raises, and Unavailable."""
        await client.connect()
        self._local_hostname = client.local_hostname  # looked up once: that may ask a name server
        await client.ehlo()
        if self._server.security == "starttls":
            if not client.supports_extension("starttls"):
                raise Unavailable(f"{self._server.host} does not offer STARTTLS", permanent=True)
            await client.starttls()
            await client.ehlo()  # the first one is void now (RFC 3207 §4.2)
        if self._server.username:
            if not client.supported_auth_methods:
                raise Unavailable(f"{self._server.host} offers no login", permanent=True)
            await client.login(self._server.username, self._server.password)

    def _opened(self, client: aiosmtplib.SMTP) -> SmtpConnection:
        transport = cast("asyncio.Transport | None", client.transport)
        if transport is None or transport.is_closing():
            raise Unavailable(f"{self._server.host} closed the connection")
        size = client.esmtp_extensions.get("size")
        tls, certificate_expires_at = _security(transport)
        capabilities = Capabilities(
            pipelining=client.supports_extension("pipelining"),
            size=None if size is None else int(size) if size.isdecimal() else 0,
            tls=tls,
            certificate_expires_at=certificate_expires_at,
        )
        connection = SmtpConnection(transport, capabilities, self._timeouts, self._pool)
        self._pool.opened(connection)
        return connection

    def _unavailable(self, error: Exception) -> Unavailable:
        host = self._server.host
        if isinstance(error, ssl.CertificateError) or isinstance(error.__cause__, ssl.CertificateError):
            return Unavailable(f"the certificate of {host} is not trusted: {shown(str(error))}", permanent=True)
        if isinstance(error, aiosmtplib.SMTPAuthenticationError):
            permanent = error.code >= 500  # RFC 4954 §6
            return Unavailable(f"{host} refused the login: {_reply_text(error)}", permanent=permanent)
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return Unavailable(f"{host} refused the connection: {_reply_text(error)}")
        if isinstance(error, TimeoutError):
            return Unavailable(f"{host} was not ready within {self._timeouts.connect:g} seconds")
        return Unavailable(f"{host} cannot be used: {shown(str(error))}")


def _reply_text(error: aiosmtplib.SMTPResponseException) -> str:
    message = error.message.encode(errors="surrogateescape")  # as aiosmtplib decoded it
    return shown(f"{error.code} {decoded(message)}")


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _security(transport: asyncio.Transport) -> tuple[str, datetime | None]:
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return "", None
    expires = ssl.cert_time_to_seconds(str((tls.getpeercert() or {})["notAfter"]))
    return tls.version() or "", datetime.fromtimestamp(expires, UTC)
