"""Mails a writer the links of their letters, to the address that they gave."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.store.link_recovery import MOST, send_links
from app.web.form_parsing import FormValues
from app.web.forms import FormError, read_sender
from app.web.language import language_of
from app.web.limits import limit_link_requests
from app.web.pages import CurrentServices, page, send_notices
from app.wiring import quotas_of

router = APIRouter(prefix="/links", include_in_schema=False)


@router.get("", name="ask for links")
async def show_recovery_form(request: Request) -> HTMLResponse:
    return page(request, "pages/link_recovery.html", typed={"sender_email": ""}, errors={}, most=MOST)


@router.post("", name="links", dependencies=[Depends(limit_link_requests)])
async def request_links(request: Request, services: CurrentServices, typed: FormValues) -> Response:
    """The same response whether or not there is anything to mail (P3); that is looked up afterwards."""
    try:
        address = read_sender(typed)
    except FormError as rejected:
        errors = rejected.words(language_of(request))
        shown = {"sender_email": typed.get("sender_email", "")}
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return page(request, "pages/link_recovery.html", status, typed=shown, errors=errors, most=MOST)
    mail = BackgroundTask(_mail, request, services, address)
    return RedirectResponse("/links/asked", HTTPStatus.SEE_OTHER, background=mail)


@router.get("/asked", name="links asked")
async def show_links_requested(request: Request) -> HTMLResponse:
    return page(request, "pages/links_sent.html")


async def _mail(request: Request, services: CurrentServices, address: str) -> None:
    quotas = quotas_of(services.settings)
    await send_links(services.cipher, address, services.message_domain, services.clock.now(), quotas)
    await send_notices(request)
