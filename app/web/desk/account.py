"""One's own account: password, second factor, sessions."""

from http import HTTPStatus

import segno
from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup
from starlette.requests import Request

from app.domain.actions import Deed
from app.domain.password import is_guessable
from app.errors import AccountError
from app.rendering import translations
from app.store.accounts import (
    LONGEST,
    SHORTEST,
    AccountView,
    change_password,
    end_other_sessions,
    list_sessions,
    prove,
)
from app.store.second_factor import accept, confirm, enrolment_uri, is_on, propose, recovery_codes_left, remove
from app.store.trail import record
from app.web.bodies import FormValues
from app.web.cookies import SESSION, read_cookie
from app.web.desk.frame import SignedIn, desk_page, operator_of
from app.web.forms import N_
from app.web.language import language_of
from app.web.pages import OpenMailbox, mailbox_of
from app.web.throttle import LoginThrottle

router = APIRouter(prefix="/admin/account", include_in_schema=False)

_WRONG_PASSWORD = N_("This is not your password.")
_BAD_PASSWORD = N_("A password has 12 to 128 characters.")
_GUESSABLE = N_("This is among the first passwords that are guessed. Please take other words, or random signs.")
_WRONG_CODE = N_("This code is not right, or was used before. Please wait for the next one.")
_TOO_OFTEN = N_("That was tried too often. Please wait a few minutes.")
_HOME = "/admin/account"


@router.get("", name="account")
async def home(request: Request, account: SignedIn) -> Response:
    return await _home(request, account, {})


@router.post("/password", name="change the password")
async def password(request: Request, account: SignedIn, mailbox: OpenMailbox, form: FormValues) -> Response:
    if not _may_try(request, account):
        return await _home(request, account, {"current": _TOO_OFTEN})
    if await prove(account.username, form.get("current", "")) is None:
        return await _home(request, account, {"current": _WRONG_PASSWORD})
    _forgive(request, account)
    chosen = form.get("new", "")
    if not SHORTEST <= len(chosen) <= LONGEST:
        return await _home(request, account, {"new": _BAD_PASSWORD})
    if is_guessable(chosen, account.username):
        return await _home(request, account, {"new": _GUESSABLE})
    await change_password(account.username, chosen, _token(request))
    await record(operator_of(request, account), Deed.CHANGE_PASSWORD, mailbox.clock.now())
    return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)


@router.post("/sessions/end", name="end other sessions")
async def end_sessions(request: Request, account: SignedIn, mailbox: OpenMailbox) -> Response:
    await end_other_sessions(account.username, _token(request))
    await record(operator_of(request, account), Deed.END_SESSIONS, mailbox.clock.now())
    return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)


@router.get("/second-factor", name="set up the second factor")
async def set_up(request: Request, account: SignedIn) -> Response:
    return await _set_up(request, account, {})


@router.post("/second-factor", name="confirm the second factor")
async def switch_on(request: Request, account: SignedIn, mailbox: OpenMailbox, form: FormValues) -> Response:
    now = mailbox.clock.now()
    if not _may_try(request, account):
        return await _set_up(request, account, {"code": _TOO_OFTEN})
    codes = await confirm(mailbox.vault, account.username, form.get("code", ""), now)
    if not codes:
        return await _set_up(request, account, {"code": _WRONG_CODE})
    _forgive(request, account)
    await record(operator_of(request, account), Deed.SECOND_FACTOR_ON, now)
    return desk_page(request, "admin/recovery_codes.html", account, codes=codes)


@router.post("/second-factor/remove", name="remove the second factor")
async def switch_off(request: Request, account: SignedIn, mailbox: OpenMailbox, form: FormValues) -> Response:
    now = mailbox.clock.now()
    if not _may_try(request, account):
        return await _home(request, account, {"code": _TOO_OFTEN})
    if not await accept(mailbox.vault, account.username, form.get("code", ""), now):
        return await _home(request, account, {"code": _WRONG_CODE})
    _forgive(request, account)
    await remove(account.username)
    await record(operator_of(request, account), Deed.SECOND_FACTOR_OFF, now)
    return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)


async def _home(request: Request, account: AccountView, errors: dict[str, str]) -> Response:
    mailbox = mailbox_of(request)
    return desk_page(
        request,
        "admin/account.html",
        account,
        _status(errors),
        errors=_in_words(request, errors),
        second_factor=await is_on(account.username),
        required=mailbox.settings.admin_second_factor == "required",
        codes_left=await recovery_codes_left(account.username),
        sessions=await list_sessions(account.username, _token(request), mailbox.clock.now()),
    )


async def _set_up(request: Request, account: AccountView, errors: dict[str, str]) -> Response:
    mailbox = mailbox_of(request)
    try:
        secret = await propose(mailbox.vault, account.username)
    except AccountError:
        return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)
    uri = enrolment_uri(account.username, secret, mailbox.settings.operator_name or "Slow Mailbox")
    picture = segno.make(uri, error="m").svg_inline(
        omitsize=True, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )
    return desk_page(
        request,
        "admin/second_factor.html",
        account,
        _status(errors),
        errors=_in_words(request, errors),
        picture=Markup(picture),  # noqa: S704 - drawn here, and it holds no text
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
    )


def _status(errors: dict[str, str]) -> HTTPStatus:
    return HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK


def _in_words(request: Request, errors: dict[str, str]) -> dict[str, str]:
    words = translations(language_of(request)).gettext
    return {name: words(text) for name, text in errors.items()}


def _may_try(request: Request, account: AccountView) -> bool:
    """Count a try by whoever holds this session; a stolen one guesses no faster than the login lets anybody."""
    throttle: LoginThrottle = request.app.state.login_throttle
    return not throttle.wait(f"own account {account.username}")


def _forgive(request: Request, account: AccountView) -> None:
    throttle: LoginThrottle = request.app.state.login_throttle
    throttle.forget(f"own account {account.username}")


def _token(request: Request) -> str:
    return read_cookie(request, mailbox_of(request).settings, SESSION)
