"""The postmaster's desk: signing in and out, how the post office stands, and what is sent when."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from app.domain.status import Status
from app.store.accounts import AccountView, account_of, sign_in, sign_out
from app.store.reports import COMING, ENDED, list_deliveries, overview
from app.web.bodies import FormValues
from app.web.cookies import SESSION, drop_cookie, known_browser, mark_as_known, read_cookie, set_cookie
from app.web.language import language_of
from app.web.moments import Moments, span
from app.web.pages import OpenMailbox, mailbox_of, page
from app.web.throttle import LoginThrottle, client_of

router = APIRouter(prefix="/admin", include_in_schema=False)

_GLANCE = 10
_NEXT = (Status.SCHEDULED, Status.CLAIMED)
_LISTS = {"coming": COMING, "ended": ENDED} | {str(status): (status,) for status in Status}
_log = structlog.get_logger()


@router.get("", name="admin")
async def desk(request: Request, mailbox: OpenMailbox) -> Response:
    account = await _account(request)
    if account is None:
        return _to_login()
    now = mailbox.clock.now()
    return _page(
        request,
        "admin/desk.html",
        account,
        stand=await overview(now),
        alive_for=mailbox.settings.lease,
        paused=mailbox.settings.paused,
        coming=await list_deliveries(mailbox.vault, _NEXT, limit=_GLANCE),
        ended=await list_deliveries(mailbox.vault, ENDED, limit=_GLANCE),
    )


@router.get("/deliveries", name="admin list")
async def deliveries(request: Request, mailbox: OpenMailbox, show: str = "coming", at: str = "") -> Response:
    account = await _account(request)
    if account is None:
        return _to_login()
    states = _LISTS.get(show)
    if states is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    found = await list_deliveries(mailbox.vault, states, cursor=at)
    return _page(request, "admin/deliveries.html", account, show=show, found=found, ended=states[0] in ENDED)


@router.get("/login", name="login")
async def ask_to_sign_in(request: Request) -> Response:
    if await _account(request):
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
        return page(request, "admin/login.html", HTTPStatus.FORBIDDEN, username=username, refused=True, wait="")
    _log.info("signed in", account=username, client=client)
    throttle.forget(*whom)
    await sign_out(read_cookie(request, settings, SESSION))
    answer = RedirectResponse("/admin", HTTPStatus.SEE_OTHER)
    set_cookie(answer, settings, SESSION, token)
    mark_as_known(answer, settings, username)
    return answer


@router.post("/logout", name="sign out")
async def logout(request: Request, mailbox: OpenMailbox) -> RedirectResponse:
    await sign_out(read_cookie(request, mailbox.settings, SESSION))
    answer = _to_login()
    drop_cookie(answer, mailbox.settings, SESSION)
    return answer


async def _account(request: Request) -> AccountView | None:
    mailbox = mailbox_of(request)
    token = read_cookie(request, mailbox.settings, SESSION)
    return await account_of(token, mailbox.clock.now()) if token else None


def _to_login() -> RedirectResponse:
    return RedirectResponse("/admin/login", HTTPStatus.SEE_OTHER)


def _wait(request: Request, username: str, seconds: int) -> HTMLResponse:
    wait = span(timedelta(seconds=seconds), language_of(request))
    answer = page(
        request, "admin/login.html", HTTPStatus.TOO_MANY_REQUESTS, username=username, refused=False, wait=wait
    )
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _page(request: Request, template: str, account: AccountView, **values: Any) -> HTMLResponse:
    mailbox, language = mailbox_of(request), language_of(request)
    moments = Moments(mailbox.settings.zone, language, mailbox.clock.now())
    return page(request, template, account=account, moments=moments, **values)
