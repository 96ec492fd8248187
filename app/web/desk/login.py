"""Signing in and out."""

from datetime import timedelta
from http import HTTPStatus

import structlog
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from app.domain.actions import Deed
from app.store.accounts import known_name, sign_in, sign_out
from app.store.trail import Operator, record
from app.web.bodies import FormValues
from app.web.cookies import SESSION, drop_cookie, known_browser, mark_as_known, read_cookie, set_cookie
from app.web.desk.frame import operator_of, signed_in, to_login
from app.web.language import language_of
from app.web.moments import span
from app.web.pages import OpenMailbox, page
from app.web.throttle import LoginThrottle, client_of

router = APIRouter(prefix="/admin", include_in_schema=False)

_STRANGER = "an unknown name"
"""What was typed is not kept: it is a password now and then."""

_log = structlog.get_logger()


@router.get("/login", name="login")
async def ask_to_sign_in(request: Request) -> Response:
    if await signed_in(request):
        return RedirectResponse("/admin", HTTPStatus.SEE_OTHER)
    return page(request, "admin/login.html", username="", refused=False, wait="")


@router.post("/login", name="sign in")
async def login(request: Request, mailbox: OpenMailbox, form: FormValues) -> Response:
    settings, username = mailbox.settings, form.get("username", "")
    throttle: LoginThrottle = request.app.state.login_throttle
    client = client_of(request)
    known = known_browser(request, settings, username)
    whom = (f"browser {known}",) if known else (f"client {client}", f"account {username[:64]}")
    if wait := throttle.wait(*whom):
        _log.warning("login has to wait", client=client, seconds=wait)
        return _wait(request, username, wait)
    token = await sign_in(username, form.get("password", ""), mailbox.clock.now())
    if token is None:
        _log.warning("login refused", client=client)
        await record(Operator(await known_name(username) or _STRANGER, client), Deed.REFUSED, mailbox.clock.now())
        return page(request, "admin/login.html", HTTPStatus.FORBIDDEN, username=username, refused=True, wait="")
    _log.info("signed in", account=username, client=client)
    await record(Operator(username, client), Deed.SIGN_IN, mailbox.clock.now())
    throttle.forget(*whom)
    await sign_out(read_cookie(request, settings, SESSION))
    answer = RedirectResponse("/admin", HTTPStatus.SEE_OTHER)
    set_cookie(answer, settings, SESSION, token)
    mark_as_known(answer, settings, username)
    return answer


@router.post("/logout", name="sign out")
async def logout(request: Request, mailbox: OpenMailbox) -> RedirectResponse:
    account = await signed_in(request)
    if account:
        await record(operator_of(request, account), Deed.SIGN_OUT, mailbox.clock.now())
    await sign_out(read_cookie(request, mailbox.settings, SESSION))
    answer = to_login()
    drop_cookie(answer, mailbox.settings, SESSION)
    return answer


def _wait(request: Request, username: str, seconds: int) -> HTMLResponse:
    wait = span(timedelta(seconds=seconds), language_of(request))
    answer = page(
        request, "admin/login.html", HTTPStatus.TOO_MANY_REQUESTS, username=username, refused=False, wait=wait
    )
    answer.headers["Retry-After"] = str(seconds)
    return answer
