"""Pausing all sending, and going on with it."""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from app.store import pauses
from app.web.desk.frame import SignedIn, desk_page, operator_of
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin/sending", include_in_schema=False)


@router.get("", name="ask to pause")
async def ask(request: Request, account: SignedIn) -> Response:
    return desk_page(request, "admin/sending.html", account)


@router.post("/pause", name="pause")
async def pause(request: Request, account: SignedIn, mailbox: OpenMailbox) -> Response:
    await pauses.pause(operator_of(request, account), mailbox.clock.now())
    return RedirectResponse("/admin", HTTPStatus.SEE_OTHER)


@router.post("/resume", name="resume sending")
async def resume(request: Request, account: SignedIn, mailbox: OpenMailbox) -> Response:
    if await pauses.resume(operator_of(request, account), mailbox.clock.now()):
        request.app.state.wake_scan()
    return RedirectResponse("/admin", HTTPStatus.SEE_OTHER)
