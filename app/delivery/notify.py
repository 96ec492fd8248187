"""Notifies the operator by mail or webhook; needs no database, which may itself be the trouble."""

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
    """Composes with the standard library: there are a few a day, not thousands a second."""

    def __init__(self, sender: str, origin: str, operator_name: str, to: str, language: str) -> None:
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
        folder, context = f"emails/{name}", {**self._values, **values}
        subject = render(f"{folder}/subject.txt", self._language, **context).strip()
        context["title"] = subject
        message = EmailMessage(_POLICY)
        message["Date"] = format_datetime(now.replace(microsecond=0))
        message["From"] = self._sender
        message["To"] = self._to
        message["Subject"] = subject
        message["Message-ID"] = f"<{new_token()}@{domain_of(self._address)}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5
        message.set_content(render(f"{folder}/body.txt", self._language, **context), cte="base64")
        html = _STYLES.inline(render(f"{folder}/body.html", self._language, **context))
        message.add_alternative(html, subtype="html", cte="base64")
        return Envelope(sender="", recipient=self._to, message=message.as_bytes())


_TIMEOUT = 10.0  # seconds for each step of a request
_TOTAL_TIMEOUT = 30.0  # seconds; a server that sends a byte at a time never exceeds that of a step


class NotifyError(Exception):
    """A notification could not be sent; the text may be logged."""


@dataclass(frozen=True, slots=True)
class Notification:
    """`name` is that of the mail's templates, which take `values`; `short` is plain text, `facts` are for machines."""

    name: str
    values: Mapping[str, Any]
    short: str
    facts: Mapping[str, str]


class Channel(Protocol):
    async def notify(self, notification: Notification, now: datetime) -> None:
        """Raises NotifyError."""


@dataclass(frozen=True, slots=True)
class MailChannel:
    """Sends a mail at once, without a row in the database; the caller retries."""

    mails: OperatorMails
    transport: Transport

    async def notify(self, notification: Notification, now: datetime) -> None:
        try:
            reply = await self.transport.send(self.mails.compose(notification.name, notification.values, now), _at_once)
        except TransportError as error:
            raise NotifyError(str(error)) from error
        if reply.code >= 300:
            raise NotifyError(f"{reply.code} {reply.text}")


@dataclass(frozen=True, slots=True, repr=False)  # the URL is a secret
class WebhookChannel:
    """Posts JSON: `text` for Slack and Mattermost, `content` for Discord, and the facts for others."""

    url: str

    async def notify(self, notification: Notification, now: datetime) -> None:
        await request("POST", self.url, self._payload(notification, now))

    def _payload(self, notification: Notification, now: datetime) -> Mapping[str, str]:
        match urlsplit(self.url).hostname:
            case "hooks.slack.com":
                return {"text": notification.short}
            case "discord.com":
                return {"content": notification.short}
            case _:
                return {"text": notification.short, "at": now.isoformat(), **notification.facts}


async def request(method: str, url: str, json: Mapping[str, str] | None = None) -> None:
    """Follows no redirects. Raises NotifyError, whose text never holds the URL: it may be a secret."""
    try:
        async with asyncio.timeout(_TOTAL_TIMEOUT), httpx.AsyncClient(timeout=_TIMEOUT) as client:
            response = await client.request(method, url, json=json)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise NotifyError(type(error).__name__) from error
    if not response.is_success:
        raise NotifyError(f"HTTP status {response.status_code}")


async def _at_once() -> bool:
    return True
