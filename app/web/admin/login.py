from datetime import datetime, timedelta
from http import HTTPStatus

import structlog
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from app.domain.status import Event
from app.store.accounts import is_valid_name, known_name, open_session, sign_out, verify_password
from app.store.audit_log import Operator, has_signed_in_from, record
from app.store.second_factor import accept, accept_recovery, is_on
from app.web.admin.base import operator_of, signed_in, to_login
from app.web.admin.login_throttle import LoginThrottle
from app.web.clients import client_of
from app.web.cookies import (
    KNOWN_FOR,
    PROOF,
    SESSION,
    drop_cookie,
    known_browser,
    mark_as_known,
    read_cookie,
    read_proof,
    set_cookie,
    set_proof,
)
from app.web.form_parsing import FormValues
from app.web.formatting import span
from app.web.language import language_of
from app.web.pages import CurrentServices, page
from app.wiring import Services

router = APIRouter(prefix="/admin", include_in_schema=False)

_STRANGER = "an unknown name"
"""A wrong user name is not logged: it may be a password."""

_log = structlog.get_logger()


@router.get("/login", name="login")
async def show_login(request: Request) -> Response:
    if await signed_in(request):
        return RedirectResponse("/admin", HTTPStatus.SEE_OTHER)
    return page(request, "admin/login.html", username="", refused=False, wait="")


@router.post("/login", name="sign in")
async def sign_in_with_password(request: Request, services: CurrentServices, form: FormValues) -> Response:
    settings, username = services.settings, form.get("username", "")
    throttle: LoginThrottle = request.app.state.login_throttle
    client, now = client_of(request), services.clock.now()
    known = await _known_place(request, services, username)
    wait = throttle.wait(known) if known else throttle.wait_as_stranger(client, username[:64])
    if wait:
        _log.warning("login has to wait", client=client, seconds=wait)
        return _wait(request, username, wait)
    mark = await verify_password(username, form.get("password", ""))
    if mark is None:
        await _note_refusal(username, client, now)
        return page(request, "admin/login.html", HTTPStatus.FORBIDDEN, username=username, refused=True, wait="")
    if known:
        throttle.forget(known)
    else:
        throttle.forget_stranger(client)
    if await is_on(username):
        answer = RedirectResponse("/admin/login/code", HTTPStatus.SEE_OTHER)
        set_proof(answer, settings, username, mark, now)
        return answer
    return await _let_in(request, services, username, mark)


@router.get("/login/code", name="ask for the second factor")
async def show_code_form(request: Request, services: CurrentServices) -> Response:
    if read_proof(request, services.settings, services.clock.now()) is None:
        return to_login()
    return page(request, "admin/login_code.html", refused=False, wait="")


@router.post("/login/code", name="sign in with the second factor")
async def sign_in_with_code(request: Request, services: CurrentServices, form: FormValues) -> Response:
    now, client = services.clock.now(), client_of(request)
    proof = read_proof(request, services.settings, now)
    if proof is None:
        return to_login()
    username, mark = proof
    throttle: LoginThrottle = request.app.state.login_throttle
    who = f"second factor of {username} {await _known_place(request, services, username)}"
    if wait := throttle.wait(who):
        return _wait(request, username, wait, "admin/login_code.html")
    code = form.get("code", "")
    if not await accept(services.cipher, username, code, now):
        if not await accept_recovery(username, code):
            await _note_refusal(username, client, now)
            return page(request, "admin/login_code.html", HTTPStatus.FORBIDDEN, refused=True, wait="")
        await record(Operator(username, client), Event.RECOVERY_CODE, now)
    throttle.forget(who)
    return await _let_in(request, services, username, mark)


async def _let_in(request: Request, services: Services, username: str, mark: str) -> Response:
    settings, client, now = services.settings, client_of(request), services.clock.now()
    token = await open_session(username, mark, now)
    if token is None:  # the password was changed in the meantime
        return to_login()
    _log.info("signed in", account=username, client=client)
    await record(Operator(username, client), Event.SIGN_IN, now)
    await sign_out(read_cookie(request, settings, SESSION))
    answer = RedirectResponse("/admin", HTTPStatus.SEE_OTHER)
    set_cookie(answer, settings, SESSION, token)
    mark_as_known(answer, settings, username)
    if read_cookie(request, settings, PROOF):
        drop_cookie(answer, settings, PROOF)
    return answer


async def _known_place(request: Request, services: Services, username: str) -> str:
    """Return the browser or network from which this account has signed in before, or an empty string."""
    if browser := known_browser(request, services.settings, username):
        return f"browser {browser}"
    client = client_of(request)
    if is_valid_name(username) and await has_signed_in_from(username, client, services.clock.now() - KNOWN_FOR):
        return f"account {username} from {client}"
    return ""


async def _note_refusal(username: str, client: str, now: datetime) -> None:
    _log.warning("login refused", client=client)
    await record(Operator(await known_name(username) or _STRANGER, client), Event.REFUSED, now)


@router.post("/logout", name="sign out")
async def sign_out_here(request: Request, services: CurrentServices) -> RedirectResponse:
    account = await signed_in(request)
    if account:
        await record(operator_of(request, account), Event.SIGN_OUT, services.clock.now())
    await sign_out(read_cookie(request, services.settings, SESSION))
    answer = to_login()
    drop_cookie(answer, services.settings, SESSION)
    return answer


def _wait(request: Request, username: str, seconds: int, template: str = "admin/login.html") -> HTMLResponse:
    wait = span(timedelta(seconds=seconds), language_of(request))
    answer = page(request, template, HTTPStatus.TOO_MANY_REQUESTS, username=username, refused=False, wait=wait)
    answer.headers["Retry-After"] = str(seconds)
    return answer
