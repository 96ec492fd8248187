from collections.abc import Iterator

from app.doctor.findings import Finding, ok, problem, warning
from app.errors import SettingsError
from app.settings import Settings


def check_pages(settings: Settings) -> Finding:
    subject = "base URL"
    if settings.smtp and not settings.origin.startswith("https://"):
        return warning(
            subject,
            f"links in mails begin with {settings.origin}, which readers cannot trust, or not even reach; "
            "set MAILBOX_BASE_URL to your https:// address",
        )
    return ok(subject, f"links in mails begin with {settings.origin}")


def check_key(settings: Settings) -> Finding:
    try:
        count = len(settings.keys())
    except SettingsError as error:
        return problem("secret key", str(error))
    return ok("secret key", f"{count} in use; keep a copy, and keep it away from the database's backups")


def check_sending(settings: Settings, domain: str) -> Iterator[Finding]:
    if settings.paused:
        yield warning("sending", "it is paused; set MAILBOX_PAUSED=off to send what is due")
    if not settings.smtp:
        return
    if domain == "localhost.localdomain":
        yield problem("sender", "MAILBOX_SENDER is not set; name an address of your own domain, or mail is refused")
    if not (settings.operator_name and settings.abuse_address):
        yield warning(
            "operator", "readers cannot see who runs this; set MAILBOX_OPERATOR_NAME and MAILBOX_ABUSE_ADDRESS"
        )
