"""Ways to reach the operator when something is wrong, beside the ledger: it may be what is stuck."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from css_inline import CSSInliner

from app.crypto import new_token
from app.domain.address import domain_of
from app.mail.envelope import Envelope, Transport, TransportError
from app.templating import render

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


_TIMEOUT = 10.0  # seconds for each step of a request
_LONGEST = 30.0  # seconds for all of it: a server that answers a byte at a time never ends a step


class NotifyError(Exception):
    """It could not be said this way; its text may be logged."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What the operator should know: `name` is that of its mail's template, which takes `values`.

    `short` says it in a line or a few; `facts` is for machines.
    """

    name: str
    values: Mapping[str, Any]
    short: str
    facts: Mapping[str, str]


class Channel(Protocol):
    """One way to tell somebody."""

    async def notify(self, news: Notification, now: datetime) -> None:
        """Raises NotTold."""


class MailChannel:
    """Hands a mail to the transport at once; it is in no ledger, and tried again by whoever tells."""

    def __init__(self, mails: OperatorMails, transport: Transport) -> None:
        self._mails = mails
        self._transport = transport

    async def notify(self, news: Notification, now: datetime) -> None:
        try:
            reply = await self._transport.send(self._mails.compose(news.name, news.values, now), _at_once)
        except TransportError as error:
            raise NotifyError(str(error)) from error
        if reply.code >= 300:
            raise NotifyError(f"{reply.code} {reply.text}")


class WebhookChannel:
    """Posts JSON: `text` as Slack and Mattermost take it, with the facts for others; Discord calls it `content`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def notify(self, news: Notification, now: datetime) -> None:
        await request("POST", self._url, self._form(news, now))

    def _form(self, news: Notification, now: datetime) -> Mapping[str, str]:
        match urlsplit(self._url).hostname:
            case "hooks.slack.com":
                return {"text": news.short}
            case "discord.com":
                return {"content": news.short}
            case _:
                return {"text": news.short, "at": now.isoformat(), **news.facts}


async def request(method: str, url: str, json: Mapping[str, str] | None = None) -> None:
    """Ask a server of the operator's, and follow nowhere else. Raises NotTold; its text never holds the address."""
    try:
        async with asyncio.timeout(_LONGEST), httpx.AsyncClient(timeout=_TIMEOUT) as client:
            answer = await client.request(method, url, json=json)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise NotifyError(type(error).__name__) from error
    if not answer.is_success:
        raise NotifyError(f"it answered {answer.status_code}")


async def _at_once() -> bool:
    return True
