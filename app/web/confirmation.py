"""The page behind the link of a confirmation mail; only its POST confirms (docs/standards.md P1)."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.store import confirmation
from app.store.confirmation import ConfirmationLink
from app.web.limits import limit_changes, limit_misses
from app.web.pages import CurrentServices, page, send_notices

router = APIRouter(prefix="/confirm/{token}", include_in_schema=False)


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
