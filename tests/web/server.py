"""What the web tests of a letter's later life ask of the post: deliver now, and show what has arrived."""

import email
from email import policy
from email.message import EmailMessage

import httpx

from app.delivery.worker import Worker
from app.wiring import Services


async def deliver(client: httpx.AsyncClient) -> None:
    """Have the application that a client asks send all that is due, and wait until it has landed."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    worker: Worker = transport.app.state.worker  # type: ignore[attr-defined]
    await worker.dispatcher.drain()


def arrived(services: Services, to: str, subject: str = "") -> list[EmailMessage]:
    """Return the mails to an address in the outbox folder; of those of one second the order says nothing."""
    files = sorted(services.settings.outbox_dir.rglob("*.eml"))
    mails = [email.message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    return [mail for mail in mails if to in str(mail["To"]).lower() and subject in str(mail["Subject"])]


def text_of(mail: EmailMessage) -> str:
    """Return the plain part, with LF line ends."""
    part = mail.get_body(("plain",))
    assert part
    return str(part.get_content()).replace("\r\n", "\n")


def links_in(mail: EmailMessage, under: str) -> list[str]:
    """Return the paths under `/letters/` or the like that a mail names."""
    words = text_of(mail).split()
    return ["/" + word.split("/", 3)[3] for word in words if word.startswith("http") and f"/{under}/" in word]
