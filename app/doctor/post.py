"""Whether letters can be handed over."""

import tempfile
from pathlib import Path

from app.clock import Clock
from app.doctor.findings import Finding, ok, problem, warning
from app.mail.conversation import Patience
from app.mail.envelope import Outage
from app.mail.smtp import SmtpTransport
from app.settings import SmtpServer

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PATIENCE = Patience(connect=20)


def check_outbox(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        return problem("outbox", f"MAILBOX_OUTBOX_DIR: {folder} cannot be written to: {error.strerror}")
    return warning("outbox", f"letters land in {folder} and go no further; set MAILBOX_SMTP_URL to send them")


async def check_mail_server(server: SmtpServer, clock: Clock) -> Finding:
    """Connect, secure and log in, just as a scan does."""
    subject, where = "mail server", f"{server.host}:{server.port}"
    transport = SmtpTransport(server, connections=1, messages_per_connection=1, clock=clock, patience=_PATIENCE)
    try:
        offers = await transport.try_out()
    except Outage as error:
        mend = "mend MAILBOX_SMTP_URL, or the server" if error.ours else "see whether it runs and can be reached"
        return problem(subject, f"{error}; {mend}")
    finally:
        await transport.close()
    if server.security == "none" and server.host not in _LOOPBACK:
        return warning(subject, f"letters travel to {where} in clear; use smtps:// or smtp+starttls://")
    size = f", letters of up to {offers.size} bytes" if offers.size else ""
    return ok(subject, f"{where} lets us in, {'with' if offers.pipelining else 'without'} PIPELINING{size}")
