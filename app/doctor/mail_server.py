import tempfile
from datetime import timedelta
from pathlib import Path

from app.clock import Clock
from app.delivery.notify import Channel, Notification, NotifyError, WebhookChannel
from app.doctor.findings import Finding, ok, problem, warning
from app.mail.envelope import Unavailable
from app.mail.smtp.protocol import Timeouts
from app.mail.smtp.transport import SmtpTransport
from app.settings import Settings, SmtpServer
from app.wiring import build_mail_channel, build_transport

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TIMEOUTS = Timeouts(connect=20)
_SOON = timedelta(days=14)


def away(server: SmtpServer) -> str:
    """Return the name of a mail server on another machine, or an empty string."""
    return "" if server.host in _LOOPBACK else server.host


def check_outbox(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        return problem("outbox", f"MAILBOX_OUTBOX_DIR: {folder} cannot be written to: {error.strerror}")
    return warning("outbox", f"letters land in {folder} and go no further; set MAILBOX_SMTP_URL to send them")


async def check_mail_server(server: SmtpServer, clock: Clock) -> Finding:
    """Connect, secure and log in as a scan does."""
    subject, where = "mail server", f"{server.host}:{server.port}"
    transport = SmtpTransport(server, connections=1, messages_per_connection=1, clock=clock, timeouts=_TIMEOUTS)
    try:
        capabilities = await transport.probe()
    except Unavailable as error:
        mend = "mend MAILBOX_SMTP_URL, or the server" if error.permanent else "see whether it runs and can be reached"
        return problem(subject, f"{error}; {mend}")
    finally:
        await transport.close()
    left = capabilities.certificate_expires_at - clock.now() if capabilities.certificate_expires_at else None
    if left is not None and left < _SOON:
        return warning(subject, f"the certificate of {where} runs out in {left.days} days; have it renewed")
    if server.security == "none" and away(server):
        return warning(subject, f"letters travel to {where} in clear; use smtps:// or smtp+starttls://")
    size = f", letters of up to {capabilities.size} bytes" if capabilities.size else ""
    tls = f", {capabilities.tls}, its certificate good for {left.days} days" if left is not None else ""
    return ok(subject, f"{where} lets us in, {'with' if capabilities.pipelining else 'without'} PIPELINING{size}{tls}")


async def send_test(settings: Settings, clock: Clock, to: str) -> list[Finding]:
    """Send a test letter, and a test to the webhook if there is one; yields a finding for each."""
    news = Notification("test", {}, "Slow Mailbox: a test that doctor was asked for.", {"alert": "test"})
    transport = build_transport(settings, clock)
    try:
        found = [await _told(f"a letter to {to}", build_mail_channel(settings, transport, to), news, clock)]
    finally:
        await transport.close()
    if settings.alert_webhook:
        found.append(await _told("a word to the webhook", WebhookChannel(settings.alert_webhook), news, clock))
    return found


async def _told(what: str, channel: Channel, news: Notification, clock: Clock) -> Finding:
    try:
        await channel.notify(news, clock.now())
    except NotifyError as error:
        return problem(what, f"it was not taken: {error}")
    return ok(what, "it was taken; see that it arrives")
