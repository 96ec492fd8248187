"""The page of a mailbox that gets our notices: closing it to us, and opening it again (docs/standards.md E8)."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request

from app.store import unsubscribe
from app.web.limits import limit_changes, limit_misses, may_unsubscribe
from app.web.pages import CurrentServices, page, services_of
from app.web.schemas import problems
from app.wiring import Services

router = APIRouter(prefix="/quiet/{token}", include_in_schema=False)
api = APIRouter(prefix="/api/quiet/{token}", tags=["readers"], responses=problems(400, 403, 404, 413, 422, 429, 503))


class QuietOut(BaseModel):
    """Whether a mailbox gets anything from here."""

    closed: bool = Field(description="Whether the address takes no mail at all.")


@router.get("", name="quiet", dependencies=[Depends(limit_misses)])
async def show_notices(request: Request, token: str) -> HTMLResponse:
    return await _notices_page(request, token)


@router.post("", name="close mailbox", dependencies=[Depends(may_unsubscribe)])
async def stop_notices(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    """Close it at one click (RFC 8058): the token says it all; see `readers.stop`."""
    await unsubscribe.block_address(services.cipher.mailbox_of(token), services.clock.now())
    return await _notices_page(request, token)


@router.post("/open", name="open mailbox", dependencies=[Depends(limit_changes)])
async def resume_notices(services: CurrentServices, token: str) -> RedirectResponse:
    await unsubscribe.unblock_address(services.cipher.mailbox_of(token), services.clock.now())
    return RedirectResponse(f"/quiet/{token}", HTTPStatus.SEE_OTHER)


@api.get("", name="api quiet", summary="See whether a mailbox is closed", dependencies=[Depends(limit_misses)])
async def show_as_json(services: CurrentServices, token: str) -> QuietOut:
    """Say whether whoever gets our notices wants no more; this changes nothing."""
    return await _notices_state(services, token)


@api.post("", name="api close mailbox", summary="Close a mailbox", dependencies=[Depends(limit_changes)])
async def close_as_json(services: CurrentServices, token: str) -> QuietOut:
    """Bring nothing to this address any more, whoever writes it; twice is the same as once."""
    await unsubscribe.block_address(services.cipher.mailbox_of(token), services.clock.now())
    return await _notices_state(services, token)


@api.post("/open", name="api open mailbox", summary="Open a mailbox again", dependencies=[Depends(limit_changes)])
async def reopen_as_json(services: CurrentServices, token: str) -> QuietOut:
    """Take that back; what was to come meanwhile comes now."""
    await unsubscribe.unblock_address(services.cipher.mailbox_of(token), services.clock.now())
    return await _notices_state(services, token)


async def _notices_state(services: Services, token: str) -> QuietOut:
    return QuietOut(closed=await unsubscribe.is_blocked(services.cipher.mailbox_of(token)))


async def _notices_page(request: Request, token: str) -> HTMLResponse:
    closed = await unsubscribe.is_blocked(services_of(request).cipher.mailbox_of(token))
    return page(request, "pages/stop_all.html", here=f"/quiet/{token}", token=token, closed=closed)
