"""Checks on every request and headers on every response."""

import asyncio
import ipaddress
import re
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings
from app.web.error_pages import error_response
from app.web.pages import is_admin

BODY_LIMIT = 1024 * 1024
"""Bytes of a request's body; a letter of the longest kind, escaped as a form, is a quarter of it."""

TARGET_LIMIT = 8 * 1024
"""Bytes of path and query; RFC 9110 §4.1 recommends 8,000 at least."""
FIELDS_LIMIT = 32 * 1024
"""Bytes of all header fields together; nginx takes as many."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_SAFE = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::\d{1,5})?", re.IGNORECASE)

_ONE_CLICK = re.compile(r"/(?:stop/[A-Za-z0-9_-]{22}|quiet/[A-Za-z0-9_-]{43})")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# `strict-origin`, not `no-referrer`: no path, and so no token, ever leaves; but under
# `no-referrer` browsers send `Origin: null` with our own forms, which then look forged.
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}
_TWO_YEARS = "max-age=63072000"


class SecurityHeaders:
    """Sets the headers of P7; a page may override one."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._headers = dict(HEADERS)
        if urlsplit(settings.origin).scheme == "https":
            self._headers["Strict-Transport-Security"] = _TWO_YEARS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RequestFilter:
    """Refuses a foreign Host (P9), a forged request (P4), and a head or body that is too long (P15, P16)."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        own = urlsplit(settings.origin).hostname or ""
        self._origin = settings.origin.lower()
        self._hosts = frozenset(host.lower() for host in (*LOOPBACK_NAMES, own, *settings.allowed_hosts))
        self._body_time = settings.request_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there is none here; what answers by itself does so without headers
            await Response(status_code=HTTPStatus.NOT_FOUND)(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _without_backslashes(scope)
        refusal = _too_long(scope) or self._refusal(Request(scope))
        if refusal:
            await error_response(Request(scope), refusal)(scope, receive, send)
            return
        await self._app(scope, limited(receive, BODY_LIMIT, self._body_time), send)

    def _refusal(self, request: Request) -> HTTPStatus | None:
        if host_name(request.headers) not in self._hosts:
            return HTTPStatus.BAD_REQUEST
        if request.method not in _SAFE and not is_one_click(request) and is_forged(request, self._origin):
            return HTTPStatus.FORBIDDEN
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        length = request.headers.get("content-length", "0")
        if not length.isdecimal():
            return HTTPStatus.BAD_REQUEST
        too_long = len(length) > len(str(BODY_LIMIT)) or int(length) > BODY_LIMIT
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_long else None


def _too_long(scope: Scope) -> HTTPStatus | None:
    """Bound the head before its parameters, cookies and languages are parsed (P16)."""
    if len(scope["path"]) + len(scope["query_string"]) > TARGET_LIMIT:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if fields > FIELDS_LIMIT else None


def _without_backslashes(scope: Scope) -> None:
    """Drop backslashes from cookies, which may not have any (RFC 6265 §4.1.1).

    `http.cookies` parses quoted values in quadratic time before Python 3.11.10 (CVE-2024-7592).
    """
    scope["headers"] = [
        (name, value.replace(b"\\", b"") if name == b"cookie" else value) for name, value in scope["headers"]
    ]


def host_name(headers: Headers) -> str:
    """Return the Host's name without its port, or an empty string unless there is exactly one."""
    hosts = headers.getlist("host")
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    return (match["six"] or match["name"]).lower() if match else ""


def is_forged(request: Request, own: str) -> bool:
    """Whether a page of another site sent this; `own` is this site's origin.

    Under another allowed host the scheme is that of the request, or of this origin where a proxy
    that is not trusted ended TLS.

    A request with neither header does not come from a browser, and passes, except under /admin.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    if origin is not None:
        host = request.headers["host"].lower()
        others = {f"{scheme}://{host}" for scheme in (request.url.scheme, own.partition(":")[0])}
        return origin.lower() not in ({own} if own.endswith(f"//{host}") else others | {own})
    return is_admin(request)


def is_one_click(request: Request) -> bool:
    """Whether this is a one-click unsubscribe (RFC 8058 §3.2): sent from anywhere, authorised by its token."""
    return request.method == "POST" and _ONE_CLICK.fullmatch(request.url.path) is not None


def limited(receive: Receive, limit: int, time: timedelta) -> Receive:
    """Return a `receive` that is limited to `limit` bytes and to `time` for the whole body.

    A chunked body does not announce its length, and a slow one would hold its connection for ever.
    Raises HTTPException 413 or 408 and closes the connection: the rest may still be on its way.
    """
    seen = 0
    whole = False
    ends_at = asyncio.get_running_loop().time() + time.total_seconds()

    async def receive_within_limits() -> Message:
        nonlocal seen, whole
        if whole:  # only a disconnect can follow
            return await receive()
        try:
            async with asyncio.timeout_at(ends_at):
                message = await receive()
        except TimeoutError:
            raise _closing(HTTPStatus.REQUEST_TIMEOUT) from None
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _closing(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        whole = not message.get("more_body", False)
        return message

    return receive_within_limits


def _closing(status: HTTPStatus) -> HTTPException:
    return HTTPException(status, headers={"Connection": "close"})


def is_loopback(host: str) -> bool:
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
