"""Whose address counts behind proxies (STANDARDS.md P9): that of MAILBOX_TRUSTED_PROXIES' word, under any server."""

from collections.abc import Sequence
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.settings import Settings

_LOOPBACK = ("127.0.0.1", 0)


class ForwardedAddress:
    """Takes the client's address from forwarding headers where our setting trusts who sent them, and nowhere else.

    Plain uvicorn has a layer before us that believes all programs on this machine, as if a proxy
    stood there; one that passes a visitor's own header on lets anybody choose an address. What
    that layer did cannot be seen, but it can be done again: where it finds, for a peer on this
    machine, what stands in the scope, the peer was on this machine. A client who writes their own
    address into the header is taken for one too, and gains nothing: the word of that address is
    looked up in the same header.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._uvicorns = _believing(("127.0.0.1",), _nothing)
        self._ours = _believing(settings.trusted_proxies, app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and any(name == b"x-forwarded-for" for name, _ in scope["headers"]):
            again = {**scope, "client": _LOOPBACK}
            await self._uvicorns(again, receive, send)
            if scope.get("client") and tuple(scope["client"]) == tuple(again["client"]):
                scope["client"] = _LOOPBACK
        await self._ours(scope, receive, send)


def _believing(proxies: Sequence[str], app: ASGIApp) -> ASGIApp:
    # uvicorn has types of its own for the same protocol.
    return cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), list(proxies)))


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Be asked in place of the application."""
