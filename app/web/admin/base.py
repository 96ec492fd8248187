"""What the pages behind the login share."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request

from app.store.accounts import AccountView, session_account
from app.store.audit_log import Operator
from app.store.pauses import paused
from app.store.second_factor import is_on
from app.web.clients import client_of
from app.web.cookies import SESSION, read_cookie
from app.web.formatting import DateFormatter
from app.web.language import language_of
from app.web.pages import page, services_of

_WITHOUT_SECOND_FACTOR = ("/admin/account", "/admin/login", "/admin/logout")

_DIGITS = 19  # as many as 2**63 has, and one more than any id will


class MustEnrol(Exception):
    """A second factor is required, and this account has none."""


class SignedOut(Exception):
    """There is no session."""


async def signed_in(request: Request) -> AccountView | None:
    services = services_of(request)
    token = read_cookie(request, services.settings, SESSION)
    account = await session_account(token, services.clock.now()) if token else None
    if account:
        request.state.pause = await paused()  # every page says so
        await _check_second_factor(request, account)
    return account


async def _check_second_factor(request: Request, account: AccountView) -> None:
    """Raises MustEnrol where a second factor is required and missing."""
    required = services_of(request).settings.admin_second_factor == "required"
    if required and not request.url.path.startswith(_WITHOUT_SECOND_FACTOR) and not await is_on(account.username):
        raise MustEnrol


async def admit(request: Request) -> AccountView:
    """Raises SignedOut, which leads to the login."""
    account = await signed_in(request)
    if account is None:
        raise SignedOut
    return account


SignedIn = Annotated[AccountView, Depends(admit)]


def read_id(text: str) -> int:
    """Raises ValueError where no row can have this id: both databases count to 2**63."""
    if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS):
        raise ValueError("this is no id")
    return int(text)


async def _delivery_of_path(delivery_id: str) -> int:
    try:
        return read_id(delivery_id)
    except ValueError:
        raise HTTPException(HTTPStatus.NOT_FOUND) from None


DeliveryId = Annotated[int, Depends(_delivery_of_path)]


def operator_of(request: Request, account: AccountView) -> Operator:
    """Return the operator as the activity log names them."""
    return Operator(account.username, client_of(request))


def to_login() -> RedirectResponse:
    return RedirectResponse("/admin/login", HTTPStatus.SEE_OTHER)


async def signed_out(_: Request, __: Exception) -> RedirectResponse:
    return to_login()


async def must_enrol(_: Request, __: Exception) -> RedirectResponse:
    return RedirectResponse("/admin/account/second-factor", HTTPStatus.SEE_OTHER)


def admin_page(
    request: Request, template: str, account: AccountView, status: int = HTTPStatus.OK, **values: Any
) -> HTMLResponse:
    """Render a template that extends `admin/layout.html`."""
    services, language = services_of(request), language_of(request)
    moments = DateFormatter(services.settings.zone, language, services.clock.now())
    standstill = {"pause": request.state.pause, "stopped": services.settings.paused}
    return page(request, template, status, account=account, moments=moments, **standstill, **values)
