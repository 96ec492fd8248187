"""Rendering pages: template, language, services."""

import hashlib
from email.utils import parseaddr
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, cast

import structlog
from fastapi import Depends
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from app.delivery.worker import Worker
from app.installation import PACKAGE
from app.settings import Settings
from app.templating import render
from app.web.language import VARY, language_of
from app.wiring import Services

REQUEST = "request_id"
"""What a request is named by in the log."""
STATIC = PACKAGE / "web/static"


def services_of(request: Request) -> Services:
    return cast(Services, request.app.state.services)


async def send_notices(request: Request) -> None:
    """Send due notices after the response.

    The request's id is not logged with them.
    """
    structlog.contextvars.unbind_contextvars(REQUEST)
    worker: Worker = request.app.state.worker
    await worker.dispatcher.run_notices()


async def _services(request: Request) -> Services:
    """A coroutine, since FastAPI runs other dependencies in a thread."""
    return services_of(request)


CurrentServices = Annotated[Services, Depends(_services)]


@cache
def asset(name: str) -> str:
    """Return a static file's address with a hash of its content, so that browsers may keep it."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def is_admin(request: Request) -> bool:
    return request.url.path.startswith("/admin")


def page(request: Request, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """Render a template that extends `partials/base.html`.

    The language switch leads to `here`: this page if it can be loaded again, else `/`.
    """
    settings: Settings = request.app.state.settings
    common = {
        "asset": asset,
        "here": request.url.path if request.method == "GET" else "/",
        "operator_name": settings.operator_name,
        "abuse_address": parseaddr(settings.abuse_address)[1],
    }
    text = render(template, language_of(request), **(common | values))
    return HTMLResponse(text, status, headers={"Vary": VARY})
