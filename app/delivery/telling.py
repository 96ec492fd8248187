"""Ways to reach the operator when something is wrong, beside the ledger: it may be what is stuck."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from app.mail.envelope import Transport, TransportError
from app.mail.operator import OperatorMails

_PATIENCE = 10.0  # seconds for each step of a request
_LONGEST = 30.0  # seconds for all of it: a server that answers a byte at a time never ends a step


class NotTold(Exception):
    """It could not be said this way; its text may be logged."""


@dataclass(frozen=True, slots=True)
class News:
    """What the operator should know: `name` is that of its mail's template, which takes `values`.

    `short` says it in a line or a few; `facts` is for machines.
    """

    name: str
    values: Mapping[str, Any]
    short: str
    facts: Mapping[str, str]


class Channel(Protocol):
    """One way to tell somebody."""

    async def tell(self, news: News, now: datetime) -> None:
        """Raises NotTold."""


class ByMail:
    """Hands a mail to the transport at once; it is in no ledger, and tried again by whoever tells."""

    def __init__(self, mails: OperatorMails, transport: Transport) -> None:
        self._mails = mails
        self._transport = transport

    async def tell(self, news: News, now: datetime) -> None:
        try:
            reply = await self._transport.send(self._mails.compose(news.name, news.values, now), _at_once)
        except TransportError as error:
            raise NotTold(str(error)) from error
        if reply.code >= 300:
            raise NotTold(f"{reply.code} {reply.text}")


class ByWebhook:
    """Posts JSON: `text` as Slack and Mattermost take it, with the facts for others; Discord calls it `content`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def tell(self, news: News, now: datetime) -> None:
        await request("POST", self._url, self._form(news, now))

    def _form(self, news: News, now: datetime) -> Mapping[str, str]:
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
        async with asyncio.timeout(_LONGEST), httpx.AsyncClient(timeout=_PATIENCE) as client:
            answer = await client.request(method, url, json=json)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise NotTold(type(error).__name__) from error
    if not answer.is_success:
        raise NotTold(f"it answered {answer.status_code}")


async def _at_once() -> bool:
    return True
