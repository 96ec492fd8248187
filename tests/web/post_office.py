"""What the web tests of a letter's later life ask of the post: deliver now, and show what has arrived."""

import email
from email import policy
from email.message import EmailMessage

from app.wiring import Mailbox, build_station


async def deliver(mailbox: Mailbox) -> None:
    """Send all that is due, and what follows from it."""
    async with build_station(mailbox, leads=False) as station:
        await station.scan.drain()


def arrived(mailbox: Mailbox, to: str, subject: str = "") -> list[EmailMessage]:
    """Return the mails to an address in the outbox folder; of those of one second the order says nothing."""
    files = sorted(mailbox.settings.outbox_dir.rglob("*.eml"))
    mails = [email.message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    return [mail for mail in mails if to in str(mail["To"]) and subject in str(mail["Subject"])]


def text_of(mail: EmailMessage) -> str:
    """Return the plain part, with LF line ends."""
    part = mail.get_body(("plain",))
    assert part
    return str(part.get_content()).replace("\r\n", "\n")


def links_in(mail: EmailMessage, under: str) -> list[str]:
    """Return the paths under `/letters/` or the like that a mail names."""
    words = text_of(mail).split()
    return ["/" + word.split("/", 3)[3] for word in words if word.startswith("http") and f"/{under}/" in word]
