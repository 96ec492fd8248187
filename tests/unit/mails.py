"""Sample mails, composed and parsed by the standard library."""

import email
from dataclasses import replace
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

from app.domain.status import Occasion
from app.mail.compose import Composer
from app.mail.envelope import Mail, MailListEntry

WRITTEN = datetime(2025, 11, 7, 12, 40, tzinfo=UTC)
FIRST = datetime(2025, 11, 14, 12, 40, tzinfo=UTC)
SECOND = datetime(2025, 12, 7, 12, 40, tzinfo=UTC)

COMPOSER = Composer(
    sender="Slow Mailbox <letters@example.org>",
    reply_to="",
    origin="https://letters.example.org",
    operator_name="The Pier Library",
    abuse_address="abuse@example.org",
)

ENGLISH = Mail(
    occasion=Occasion.FIRST,
    message_id="<q7dKx0aV3mZ1c9rT8yLw2g@example.org>",
    recipient_email="mina@example.com",
    recipient_name="Mina",
    sender_name="Jun",
    subject="For the morning after",
    body="Dear Mina,\n\nby now the first snow should have come.\n\nJun",
    language="en",
    timezone="Asia/Seoul",
    written_at=WRITTEN,
    send_at=FIRST,
    second_send_at=SECOND,
)

KOREAN = replace(
    ENGLISH,
    recipient_name="미나",
    sender_name="준",
    subject="첫눈이 오면",
    body="미나에게,\n\n지금쯤이면 첫눈이 왔겠지?\n\n준이가",
    language="ko",
)

STOP_URL = "https://letters.example.org/stop/Zt0b3VnqXw8k1mJ5rYc7dA"
MAILBOX_URL = "https://letters.example.org/quiet/9vT0b3VnqXw8k1mJ5rYc7dA9vT0b3VnqXw8k1mJ5rYc"

NOTICE = {
    "recipient_email": "jun@example.com",
    "page_url": "https://letters.example.org/letters/Zt0b3VnqXw8k1mJ5rYc7dA",
    "reader": "m…@example.com",
    "reason": "550 5.1.1 no such user here",
}


def receipt(mail: Mail = ENGLISH, **changes: Any) -> Mail:
    return replace(mail, **{**NOTICE, "occasion": Occasion.RECEIPT, **changes})


def refusal(mail: Mail = ENGLISH, **changes: Any) -> Mail:
    return replace(mail, **{**NOTICE, "occasion": Occasion.REFUSAL, **changes})


CONFIRM = {
    "page_url": "",
    "reader": "",
    "reason": "",
    "confirm_url": "https://letters.example.org/confirm/Zt0b3VnqXw8k1mJ5rYc7dA",
}


def confirmation(mail: Mail = ENGLISH, **changes: Any) -> Mail:
    """Return the confirmation request to the writer; with a `stop_url`, to the reader."""
    return replace(mail, **{**NOTICE, **CONFIRM, "occasion": Occasion.CONFIRMATION, **changes})


def links(mail: Mail = ENGLISH, **changes: Any) -> Mail:
    entries = tuple(MailListEntry(f"{NOTICE['page_url'][:-1]}{n}", f"{n}…@example.com", WRITTEN) for n in range(2))
    return replace(mail, **{**NOTICE, "occasion": Occasion.LINKS, "reason": "", "entries": entries, **changes})


LETTERS = {
    "first-en": ENGLISH,
    "first-ko": KOREAN,
    "second-en": replace(ENGLISH, occasion=Occasion.SECOND),
    "second-ko": replace(KOREAN, occasion=Occasion.SECOND),
    "stoppable-en": replace(ENGLISH, stop_url=STOP_URL),
    "stoppable-ko": replace(KOREAN, stop_url=STOP_URL),
    "bare": replace(ENGLISH, recipient_name="", sender_name="", subject="", second_send_at=None),
}
NOTICES = {
    "receipt-en": receipt(mailbox_url=MAILBOX_URL),
    "receipt-ko": receipt(KOREAN, mailbox_url=MAILBOX_URL),
    "renewed-en": receipt(renewed=True),
    "renewed-ko": receipt(KOREAN, renewed=True),
    "refusal-en": refusal(),
    "refusal-ko": refusal(KOREAN, mailbox_url=MAILBOX_URL),
    "untried-en": refusal(reason="", untried=True),
    "untried-ko": refusal(KOREAN, reason="", untried=True),
    "confirmation-en": confirmation(),
    "confirmation-ko": confirmation(KOREAN, mailbox_url=MAILBOX_URL),
    "confirmation-reader-en": confirmation(stop_url=STOP_URL),
    "confirmation-reader-ko": confirmation(KOREAN, stop_url=STOP_URL),
    "links-en": links(),
    "links-ko": links(KOREAN, mailbox_url=MAILBOX_URL),
}


def read(mail: Mail, composer: Composer = COMPOSER) -> EmailMessage:
    """Return a mail, sent at FIRST, as the standard library parses it."""
    return email.message_from_bytes(composer.compose(mail, FIRST).message, policy=policy.default)


def part(message: EmailMessage, kind: str) -> str:
    """Return the part `plain` or `html`, with LF line ends."""
    found = message.get_body((kind,))
    assert found is not None
    octets = found.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode().replace("\r\n", "\n")


class Page(HTMLParser):
    """The texts of a page, the letter's body apart, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.body: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._inside: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "hr"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if "pre" in self._inside:
            self.body.append(data)
        elif not {"style", "title"} & set(self._inside):
            self.words.append(data)
