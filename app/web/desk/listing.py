"""The list of scheduled sends."""

from http import HTTPStatus

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from starlette.requests import Request

from app.domain.selection import COMING, ENDED, Selection
from app.domain.status import Status
from app.store.listing import list_deliveries
from app.web.desk.frame import desk_page, signed_in, to_login
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin", include_in_schema=False)

_LISTS = {"coming": COMING, "ended": ENDED} | {str(status): (status,) for status in Status}


@router.get("/deliveries", name="admin list")
async def deliveries(request: Request, mailbox: OpenMailbox, show: str = "coming", at: str = "") -> Response:
    account = await signed_in(request)
    if account is None:
        return to_login()
    states = _LISTS.get(show)
    if states is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    selection = Selection(frozenset(states))
    ended = selection.has_ended
    found = await list_deliveries(mailbox.vault, selection, falling=ended, cursor=at)
    return desk_page(request, "admin/deliveries.html", account, show=show, found=found, ended=ended)
