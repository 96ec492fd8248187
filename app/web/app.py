import os
import sys
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.clock import Clock, SystemClock
from app.errors import (
    BeingSent,
    EditWindowClosed,
    LetterNotFound,
    LimitExceeded,
    NotArrived,
    NotCorrectable,
    NotWithdrawable,
    SettingsError,
)
from app.log import configure_logging
from app.settings import Settings, load_settings
from app.web import (
    about,
    address_change,
    api,
    confirmation,
    editing,
    export,
    health,
    keepsake,
    language,
    letter_form,
    letters,
    link_recovery,
    outbox,
    preview,
    unsubscribe,
)
from app.web.admin import account, actions, audit_log, dashboard, deliveries, login, pause
from app.web.admin import address_change as admin_address_change
from app.web.admin.base import MustEnrol, SignedOut, must_enrol, signed_out
from app.web.admin.login_throttle import LoginThrottle
from app.web.deadline import Deadline
from app.web.error_pages import http_error, letter_sealed, not_withdrawable
from app.web.forms import FormError
from app.web.lifespan import lifespan_of
from app.web.limits import Limits, too_many, unknown_letter
from app.web.pages import STATIC
from app.web.proxies import ForwardedAddress
from app.web.request_log import RequestLog
from app.web.schemas import API
from app.web.security import RequestFilter, SecurityHeaders

_WRITERS = (letter_form, preview, letters, editing, export)  # the fixed addresses before /letters/{token}
_LATER = (confirmation, address_change, keepsake, link_recovery, unsubscribe)
_OTHERS = (about, api, language, outbox, health)
_DESK = (dashboard, deliveries, admin_address_change, actions, pause, audit_log, account, login)
_ANSWERS: dict[int | type[Exception], Any] = {
    HTTPException: http_error,
    BeingSent: address_change.refused,
    LetterNotFound: unknown_letter,
    NotArrived: keepsake.not_arrived,
    NotCorrectable: address_change.refused,
    NotWithdrawable: not_withdrawable,
    FormError: api.form_error,
    EditWindowClosed: letter_sealed,
    RequestValidationError: api.wrong_kind,
    MustEnrol: must_enrol,
    SignedOut: signed_out,
    LimitExceeded: too_many,
}
_WRONG_SETTINGS = 2  # the exit code, as for wrong arguments


class LastingFiles(StaticFiles):
    """Static files that browsers may keep: their addresses change with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def create_app(settings: Settings | None = None, clock: Clock | None = None) -> FastAPI:
    """Build the application; `uvicorn --factory app.web.app:create_app` calls it without arguments.

    A wrong setting ends the program with one line on stderr.
    """
    settings, clock = settings or _begin(), clock or SystemClock()
    app = FastAPI(
        title="Slow Mailbox",
        description=API,
        version="1",
        lifespan=lifespan_of(settings, clock),
        openapi_url="/openapi.json" if settings.api_docs else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=_middleware(settings, clock),
        exception_handlers=_ANSWERS,
    )
    for part in (*_WRITERS, *_LATER, *_OTHERS, *_DESK):
        app.include_router(part.router)
    for part in (preview, export, address_change):
        app.include_router(part.api)
    app.state.settings = settings
    app.state.login_throttle = LoginThrottle(clock)
    app.state.limits = Limits(clock, settings.posts_per_hour)
    app.mount("/static", LastingFiles(directory=STATIC), name="static")
    return app


def _middleware(settings: Settings, clock: Clock) -> list[Middleware]:
    """The outermost first."""
    return [
        Middleware(ForwardedAddress, settings=settings),
        Middleware(SecurityHeaders, settings=settings),
        Middleware(RequestLog, clock=clock),
        Middleware(Deadline),
        Middleware(RequestFilter, settings=settings),
    ]


def _begin() -> Settings:
    """Set up a process that uvicorn started, as `slow-mailbox serve` does for its own."""
    os.umask(0o077)  # other users may not read the database and the outbox
    configure_logging()
    try:
        return load_settings()
    except SettingsError as error:
        sys.stderr.write(f"slow-mailbox: {error}\n")
        raise SystemExit(_WRONG_SETTINGS) from None
