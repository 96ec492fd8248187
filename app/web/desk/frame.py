"""What the pages behind the login share: who is signed in, and the frame around them."""

from http import HTTPStatus
from typing import Any

from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request

from app.store.accounts import AccountView, account_of
from app.web.cookies import SESSION, read_cookie
from app.web.language import language_of
from app.web.moments import Moments
from app.web.pages import mailbox_of, page


async def signed_in(request: Request) -> AccountView | None:
    """Return whose session this is."""
    mailbox = mailbox_of(request)
    token = read_cookie(request, mailbox.settings, SESSION)
    return await account_of(token, mailbox.clock.now()) if token else None


def to_login() -> RedirectResponse:
    return RedirectResponse("/admin/login", HTTPStatus.SEE_OTHER)


def desk_page(request: Request, template: str, account: AccountView, **values: Any) -> HTMLResponse:
    """Fill a template that extends `admin/frame.html`."""
    mailbox, language = mailbox_of(request), language_of(request)
    moments = Moments(mailbox.settings.zone, language, mailbox.clock.now())
    return page(request, template, account=account, moments=moments, **values)
