"""The client's address behind the proxies of MAILBOX_TRUSTED_PROXIES, under any server (docs/standards.md P9)."""

import ipaddress
from collections.abc import Sequence
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.settings import Settings


class ForwardedAddress:
    """Takes the client's address from forwarding headers of trusted proxies.

    uvicorn itself does so for every program on this machine, unless it gets `--no-proxy-headers`.
    A value that is not an address is ignored: the peer counts.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._trusting = _believing(settings.trusted_proxies, _nothing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        await self._trusting(scope, receive, send)
        if scope.get("client") != peer and not _is_address(scope["client"][0]):
            scope["client"] = peer
        await self._app(scope, receive, send)


def _believing(proxies: Sequence[str], app: ASGIApp) -> ASGIApp:
    # uvicorn has types of its own for the same protocol.
    return cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), list(proxies)))


def _is_address(text: str) -> bool:
    try:
        return not getattr(ipaddress.ip_address(text), "scope_id", None)  # a zone (RFC 4007 §11) may be any text
    except ValueError:
        return False


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands in for the application while the headers are read."""
