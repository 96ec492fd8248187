from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from app.store import pauses
from app.web.admin.base import SignedIn, admin_page, operator_of
from app.web.pages import CurrentServices

router = APIRouter(prefix="/admin/sending", include_in_schema=False)


@router.get("", name="ask to pause")
async def confirm_pause(request: Request, account: SignedIn) -> Response:
    return admin_page(request, "admin/pause.html", account)


@router.post("/pause", name="pause")
async def pause_sending(request: Request, account: SignedIn, services: CurrentServices) -> Response:
    await pauses.pause(operator_of(request, account), services.clock.now())
    return RedirectResponse("/admin", HTTPStatus.SEE_OTHER)


@router.post("/resume", name="resume sending")
async def resume_sending(request: Request, account: SignedIn, services: CurrentServices) -> Response:
    if await pauses.resume(operator_of(request, account), services.clock.now()):
        request.app.state.wake_scan()
    return RedirectResponse("/admin", HTTPStatus.SEE_OTHER)
