"""Shows the outbox folder, on this machine only."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from app.templating import place_name
from app.web.language import language_of
from app.web.pages import CurrentServices, page, services_of
from app.web.security import host_name, is_loopback

router = APIRouter(include_in_schema=False)

_SHOWN = 100
_PROXIES = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")
_FRAMED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'"


def is_open(request: Request) -> bool:
    """Whether this request may see the outbox.

    No mail server is set, and the server, its base URL, the peer and the Host are this machine.
    Behind a proxy every visitor looks like this machine; most proxies show by a header, and nginx
    by default by HTTP/1.0, which no browser uses.
    """
    services = services_of(request)
    client = request.client.host if request.client else ""
    base = urlsplit(services.settings.origin).hostname
    return (
        services.outbox is not None
        and all(map(is_loopback, (services.settings.host, base or "", client, host_name(request.headers))))
        and request.scope["http_version"] != "1.0"
        and not any(name in _PROXIES or name.startswith("x-forwarded") for name in request.headers)
    )


@router.get("/outbox", name="outbox")
def list_mails(request: Request, services: CurrentServices) -> HTMLResponse:
    if services.outbox is None or not is_open(request):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    mails = services.outbox.entries(_SHOWN)
    zone = services.settings.timezone
    return page(request, "pages/outbox.html", mails=mails, zone=zone, place=place_name(zone, language_of(request)))


@router.get("/outbox/{name}", name="outbox mail")
def show_mail(request: Request, name: str) -> HTMLResponse:
    return page(request, "pages/outbox_mail.html", name=name, mail=_read(request, name))


@router.get("/outbox/{name}/html", name="outbox frame")
def show_mail_html(request: Request, name: str) -> HTMLResponse:
    """The mail's HTML for its frame, the only place where inline style is allowed."""
    return HTMLResponse(_read(request, name)["html"], headers={"Content-Security-Policy": _FRAMED})


def _read(request: Request, name: str) -> dict[str, Any]:
    """Return subject, headers, text and HTML of a mail. Raises HTTPException 404."""
    outbox = services_of(request).outbox
    if outbox is None or not is_open(request):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    try:
        return asdict(outbox.read(name))
    except FileNotFoundError:
        raise HTTPException(HTTPStatus.NOT_FOUND) from None
