"""Behind the link of a mail that asks for a confirmation: a question, and its answer by POST (docs/standards.md P1)."""

from http import HTTPStatus

from fastapi import APIRouter, BackgroundTasks, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.errors import LinkExpired
from app.store import confirmation
from app.store.confirmation import ConfirmationLink
from app.web.error_pages import error_response
from app.web.forms import N_
from app.web.limits import limit_changes, limit_misses
from app.web.pages import CurrentServices, page, send_notices
from app.web.schemas import problems

router = APIRouter(prefix="/confirm/{token}", include_in_schema=False)
api = APIRouter(
    prefix="/api/confirmations/{token}", tags=["confirmations"], responses=problems(400, 403, 404, 413, 422, 429, 503)
)

_DEAD = (
    N_("This link has expired"),
    N_("It works once, within 48 hours. Letters that waited longer were cancelled and not sent."),
)


class ConfirmationOut(BaseModel):
    """Whether a link of a mail that asks for a confirmation still works: each does once, for 48 hours."""

    link: ConfirmationLink


@router.get("", name="confirmation", dependencies=[Depends(limit_misses)])
async def show_confirmation(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    link = await confirmation.link_state(token, services.clock.now())
    status = HTTPStatus.GONE if link is ConfirmationLink.EXPIRED else HTTPStatus.OK
    return page(request, "pages/confirmation.html", status, token=token, link=link)


@router.post("", name="confirm", dependencies=[Depends(limit_changes)])
async def confirm_address(request: Request, services: CurrentServices, token: str) -> RedirectResponse:
    await confirmation.confirm(token, services.clock.now())
    receipts = BackgroundTask(send_notices, request)
    return RedirectResponse(f"/confirm/{token}", HTTPStatus.SEE_OTHER, background=receipts)


@api.get("", name="api confirmation", summary="Look at a confirmation", dependencies=[Depends(limit_misses)])
async def show_as_json(services: CurrentServices, token: str) -> ConfirmationOut:
    """Say whether a link still works; this changes nothing."""
    return ConfirmationOut(link=await confirmation.link_state(token, services.clock.now()))


@api.post(
    "",
    name="api confirm",
    summary="Confirm",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(410),
    dependencies=[Depends(limit_changes)],
)
async def confirm_as_json(request: Request, services: CurrentServices, token: str, background: BackgroundTasks) -> None:
    """Free all letters that wait for this address; 410 where the link was used before, or has run out."""
    if await confirmation.confirm(token, services.clock.now()) is not ConfirmationLink.LIVE:
        raise LinkExpired("this link was used before, or has run out")
    background.add_task(send_notices, request)


async def link_dead(request: Request, _: Exception) -> Response:
    return error_response(request, HTTPStatus.GONE, words=_DEAD)
