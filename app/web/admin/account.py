"""The operator's own account: password, second factor, sessions."""

from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import segno
from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeSerializer
from markupsafe import Markup
from starlette.requests import Request

from app.crypto import token_hash
from app.domain.status import Event
from app.errors import AccountError, WeakPassword
from app.store.accounts import (
    AccountView,
    change_password,
    end_other_sessions,
    is_valid_proof,
    list_sessions,
    open_session,
    verify_password,
)
from app.store.audit_log import record
from app.store.second_factor import accept, enrolment_uri, is_on, new_secret, recovery_codes_left, remove, switch_on
from app.templating import translations
from app.web.admin.base import SignedIn, admin_page, operator_of, to_login
from app.web.admin.login_throttle import LoginThrottle
from app.web.cookies import SESSION, read_cookie, set_cookie, signer
from app.web.form_parsing import FormValues
from app.web.forms import N_
from app.web.language import language_of
from app.web.pages import CurrentServices, services_of

router = APIRouter(prefix="/admin/account", include_in_schema=False)

_PROPOSAL_LASTS = timedelta(minutes=10)

_WRONG_PASSWORD = N_("This is not your current password.")
_BAD_PASSWORD = N_("A password has 12 to 128 characters.")
_GUESSABLE = N_("This password is easy to guess. Please use several unrelated words.")
_WRONG_CODE = N_("This code is wrong or was used before. Please wait for the next one.")
_TOO_OFTEN = N_("Too many attempts. Please wait a few minutes.")
_HOME = "/admin/account"


@dataclass(frozen=True)
class _Proposal:
    """A second factor that is being set up; the form carries it, signed for this session.

    `mark` is the proof of the password at that time: a changed password makes it void.
    """

    mark: str
    secret: str
    until: str


@router.get("", name="account")
async def show_account(request: Request, account: SignedIn) -> Response:
    return await _home(request, account, {})


@router.post("/password", name="change the password")
async def change_own_password(
    request: Request, account: SignedIn, services: CurrentServices, form: FormValues
) -> Response:
    now = services.clock.now()
    _, wrong = await _prove_again(request, account, form.get("current", ""))
    if wrong:
        return await _home(request, account, {"current": wrong})
    try:
        token = await change_password(account.username, form.get("new", ""), now)
    except WeakPassword:
        return await _home(request, account, {"new": _GUESSABLE})
    except AccountError:
        return await _home(request, account, {"new": _BAD_PASSWORD})
    await record(operator_of(request, account), Event.CHANGE_PASSWORD, now)
    return _continue(RedirectResponse(_HOME, HTTPStatus.SEE_OTHER), request, token)


@router.post("/sessions/end", name="end other sessions")
async def end_sessions(request: Request, account: SignedIn, services: CurrentServices) -> Response:
    await end_other_sessions(account.username, _token(request))
    await record(operator_of(request, account), Event.END_SESSIONS, services.clock.now())
    return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)


@router.get("/second-factor", name="ask for the password before the second factor")
async def show_second_factor(request: Request, account: SignedIn) -> Response:
    return await _begin(request, account, {})


@router.post("/second-factor", name="set up the second factor")
async def set_up_second_factor(
    request: Request, account: SignedIn, services: CurrentServices, form: FormValues
) -> Response:
    mark, wrong = await _prove_again(request, account, form.get("password", ""))
    if wrong:
        return await _begin(request, account, {"password": wrong})
    until = services.clock.now() + _PROPOSAL_LASTS
    return await _show_secret(request, account, _Proposal(mark, new_secret(), until.isoformat()), {})


@router.post("/second-factor/confirm", name="confirm the second factor")
async def confirm_second_factor(
    request: Request, account: SignedIn, services: CurrentServices, form: FormValues
) -> Response:
    now = services.clock.now()
    proposal = await _read_proposal(request, account, form.get("proposal", ""))
    if proposal is None:
        return await _begin(request, account, {})
    if not _may_try(request, account):
        return await _show_secret(request, account, proposal, {"code": _TOO_OFTEN})
    try:
        codes = await switch_on(services.cipher, account.username, proposal.secret, form.get("code", ""), now)
    except AccountError:
        return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)
    if not codes:
        return await _show_secret(request, account, proposal, {"code": _WRONG_CODE})
    _forgive(request, account)
    await record(operator_of(request, account), Event.SECOND_FACTOR_ON, now)
    answer = admin_page(request, "admin/recovery_codes.html", account, codes=codes)
    return _continue(answer, request, await open_session(account.username, proposal.mark, now))


@router.post("/second-factor/remove", name="remove the second factor")
async def remove_second_factor(
    request: Request, account: SignedIn, services: CurrentServices, form: FormValues
) -> Response:
    now = services.clock.now()
    mark, wrong = await _prove_again(request, account, form.get("password", ""))
    if wrong:
        return await _home(request, account, {"password": wrong})
    if not _may_try(request, account):
        return await _home(request, account, {"code": _TOO_OFTEN})
    if not await accept(services.cipher, account.username, form.get("code", ""), now):
        return await _home(request, account, {"code": _WRONG_CODE})
    _forgive(request, account)
    await remove(account.username)
    await record(operator_of(request, account), Event.SECOND_FACTOR_OFF, now)
    answer = RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)
    return _continue(answer, request, await open_session(account.username, mark, now))


async def _home(request: Request, account: AccountView, errors: dict[str, str]) -> Response:
    services = services_of(request)
    return admin_page(
        request,
        "admin/account.html",
        account,
        _status(errors),
        errors=_in_words(request, errors),
        second_factor=await is_on(account.username),
        required=services.settings.admin_second_factor == "required",
        codes_left=await recovery_codes_left(account.username),
        sessions=await list_sessions(account.username, _token(request), services.clock.now()),
    )


async def _begin(request: Request, account: AccountView, errors: dict[str, str]) -> Response:
    return await _set_up(request, account, errors, picture="")


async def _show_secret(request: Request, account: AccountView, proposal: _Proposal, errors: dict[str, str]) -> Response:
    issuer = services_of(request).settings.operator_name or "Slow Mailbox"
    uri = enrolment_uri(account.username, proposal.secret, issuer)
    picture = segno.make(uri, error="m").svg_inline(
        omitsize=True, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )
    return await _set_up(
        request,
        account,
        errors,
        picture=Markup(picture),  # noqa: S704 - drawn here, and it holds no text
        secret=" ".join(proposal.secret[start : start + 4] for start in range(0, len(proposal.secret), 4)),
        proposal=_signer(request, account).dumps(astuple(proposal)),
    )


async def _set_up(request: Request, account: AccountView, errors: dict[str, str], **values: str) -> Response:
    if await is_on(account.username):
        return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)
    words = _in_words(request, errors)
    return admin_page(request, "admin/second_factor.html", account, _status(errors), errors=words, **values)


async def _read_proposal(request: Request, account: AccountView, signed: str) -> _Proposal | None:
    try:
        proposal = _Proposal(*_signer(request, account).loads(signed))
    except BadSignature:
        return None
    expired = datetime.fromisoformat(proposal.until) <= services_of(request).clock.now()
    return proposal if not expired and await is_valid_proof(account.username, proposal.mark) else None


def _signer(request: Request, account: AccountView) -> URLSafeSerializer:
    """A signature of this session alone."""
    settings = services_of(request).settings
    return signer(settings, f"slow-mailbox second factor of {account.username} {token_hash(_token(request))}")


def _continue(answer: Response, request: Request, token: str | None) -> Response:
    """Answer under a new session; without a token the password was changed at the same moment."""
    if token is None:
        return to_login()
    set_cookie(answer, services_of(request).settings, SESSION, token)
    return answer


async def _prove_again(request: Request, account: AccountView, password: str) -> tuple[str, str]:
    """Return the result of `verify_password` for the own password, and an error, if any."""
    if not _may_try(request, account):
        return "", _TOO_OFTEN
    mark = await verify_password(account.username, password)
    if mark is None:
        return "", _WRONG_PASSWORD
    _forgive(request, account)
    return mark, ""


def _status(errors: dict[str, str]) -> HTTPStatus:
    return HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK


def _in_words(request: Request, errors: dict[str, str]) -> dict[str, str]:
    words = translations(language_of(request)).gettext
    return {name: words(text) for name, text in errors.items()}


def _may_try(request: Request, account: AccountView) -> bool:
    """Count an attempt by this session: a stolen one guesses no faster than the login allows."""
    throttle: LoginThrottle = request.app.state.login_throttle
    return not throttle.wait(f"own account {account.username}")


def _forgive(request: Request, account: AccountView) -> None:
    throttle: LoginThrottle = request.app.state.login_throttle
    throttle.forget(f"own account {account.username}")


def _token(request: Request) -> str:
    return read_cookie(request, services_of(request).settings, SESSION)
