"""The few mails to the operator: what is wrong with the post office, and how it stands each morning."""

from collections.abc import Mapping
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import urlsplit

from css_inline import CSSInliner

from app.domain.address import domain_of
from app.mail.envelope import Envelope
from app.rendering import render
from app.sealing import new_token

_POLICY = policy.SMTP.clone(max_line_length=76)  # RFC 2045 §6.8
_STYLES = CSSInliner(load_remote_stylesheets=False)


class OperatorMails:
    """Writes them by the standard library: there are some a day, not thousands a second."""

    def __init__(self, sender: str, origin: str, operator_name: str, to: str, language: str) -> None:
        """Take the sender as `Name <address>`, the address of the pages, and who is written to, in which language."""
        name, self._address = parseaddr(sender)
        self._sender = Address(name or "Slow Mailbox", addr_spec=self._address)
        self._values = {
            "origin": origin,
            "host": urlsplit(origin).netloc,
            "operator_name": operator_name,
            "abuse_address": "",
        }
        self._to = parseaddr(to)[1]
        self._language = language

    def compose(self, name: str, values: Mapping[str, Any], now: datetime) -> Envelope:
        """Return the mail of `templates/emails/<name>`, dated `now`."""
        folder, given = f"emails/{name}", {**self._values, **values}
        subject = render(f"{folder}/subject.txt", self._language, **given).strip()
        given["title"] = subject
        message = EmailMessage(_POLICY)
        message["Date"] = format_datetime(now.replace(microsecond=0))
        message["From"] = self._sender
        message["To"] = self._to
        message["Subject"] = subject
        message["Message-ID"] = f"<{new_token()}@{domain_of(self._address)}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5
        message.set_content(render(f"{folder}/body.txt", self._language, **given), cte="base64")
        html = _STYLES.inline(render(f"{folder}/body.html", self._language, **given))
        message.add_alternative(html, subtype="html", cte="base64")
        return Envelope(sender="", recipient=self._to, message=message.as_bytes())
