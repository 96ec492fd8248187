"""What every page is made with: a template, the reader's language, and the mailbox behind it."""

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
    """Send the notices that are due: run behind the answer, never within the request.

    What is logged of them, and by what they set in motion, is not that request's.
    """
    structlog.contextvars.unbind_contextvars(REQUEST)
    worker: Worker = request.app.state.worker
    await worker.dispatcher.run_notices()


async def _services(request: Request) -> Services:
    """Give the mailbox to a page, as a coroutine: FastAPI sends any other dependency to a thread and waits for it."""
    return services_of(request)


CurrentServices = Annotated[Services, Depends(_services)]


@cache
def asset(name: str) -> str:
    """Return a static file's address; it changes with the content, so that browsers may keep it for good."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def is_admin(request: Request) -> bool:
    """Whether a page is the operators', not the writers' or readers'."""
    return request.url.path.startswith("/admin")


def page(request: Request, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """Fill a template that extends `partials/base.html`.

    The switch of languages leads `here`: back to this page if it can be asked for again, else to `/`.
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
