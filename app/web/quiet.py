"""The page of a mailbox that gets our notices: closing it to us, and opening it again (docs/standards.md E8)."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import Request

from app.store import mailboxes
from app.web.limits import may_change, may_look, may_unsubscribe
from app.web.pages import OpenMailbox, mailbox_of, page
from app.web.schemas import problems
from app.wiring import Mailbox

router = APIRouter(prefix="/quiet/{token}", include_in_schema=False)
api = APIRouter(prefix="/api/quiet/{token}", tags=["readers"], responses=problems(400, 403, 404, 413, 422, 429, 503))


class QuietOut(BaseModel):
    """Whether a mailbox gets anything from here."""

    closed: bool = Field(description="Whether the address takes no mail at all.")


@router.get("", name="quiet", dependencies=[Depends(may_look)])
async def show(request: Request, token: str) -> HTMLResponse:
    return await _page(request, token)


@router.post("", name="close mailbox", dependencies=[Depends(may_unsubscribe)])
async def close(request: Request, mailbox: OpenMailbox, token: str) -> HTMLResponse:
    """Close it at one click (RFC 8058): the token says it all; see `readers.stop`."""
    await mailboxes.close(mailbox.vault.mailbox_of(token), mailbox.clock.now())
    return await _page(request, token)


@router.post("/open", name="open mailbox", dependencies=[Depends(may_change)])
async def reopen(mailbox: OpenMailbox, token: str) -> RedirectResponse:
    await mailboxes.reopen(mailbox.vault.mailbox_of(token), mailbox.clock.now())
    return RedirectResponse(f"/quiet/{token}", HTTPStatus.SEE_OTHER)


@api.get("", name="api quiet", summary="See whether a mailbox is closed", dependencies=[Depends(may_look)])
async def show_as_json(mailbox: OpenMailbox, token: str) -> QuietOut:
    """Say whether whoever gets our notices wants no more; this changes nothing."""
    return await _state(mailbox, token)


@api.post("", name="api close mailbox", summary="Close a mailbox", dependencies=[Depends(may_change)])
async def close_as_json(mailbox: OpenMailbox, token: str) -> QuietOut:
    """Bring nothing to this address any more, whoever writes it; twice is the same as once."""
    await mailboxes.close(mailbox.vault.mailbox_of(token), mailbox.clock.now())
    return await _state(mailbox, token)


@api.post("/open", name="api open mailbox", summary="Open a mailbox again", dependencies=[Depends(may_change)])
async def reopen_as_json(mailbox: OpenMailbox, token: str) -> QuietOut:
    """Take that back; what was to come meanwhile comes now."""
    await mailboxes.reopen(mailbox.vault.mailbox_of(token), mailbox.clock.now())
    return await _state(mailbox, token)


async def _state(mailbox: Mailbox, token: str) -> QuietOut:
    return QuietOut(closed=await mailboxes.is_closed(mailbox.vault.mailbox_of(token)))


async def _page(request: Request, token: str) -> HTMLResponse:
    closed = await mailboxes.is_closed(mailbox_of(request).vault.mailbox_of(token))
    return page(request, "pages/quiet.html", here=f"/quiet/{token}", token=token, closed=closed)
