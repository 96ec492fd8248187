"""The client's address behind the proxies of MAILBOX_TRUSTED_PROXIES, under any server (docs/standards.md P9)."""

from collections.abc import Sequence
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.settings import Settings


class ForwardedAddress:
    """Takes the client's address from forwarding headers where the setting names their sender.

    Plain uvicorn does so before us for every program on this machine, unless it gets `--no-proxy-headers`.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._ours = _believing(settings.trusted_proxies, app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._ours(scope, receive, send)


def _believing(proxies: Sequence[str], app: ASGIApp) -> ASGIApp:
    # uvicorn has types of its own for the same protocol.
    return cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), list(proxies)))
