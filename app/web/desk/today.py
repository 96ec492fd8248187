"""How the post office stands today."""

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from app.domain.selection import ENDED, Selection
from app.domain.status import Status
from app.store.listing import list_deliveries
from app.store.overview import overview
from app.web.desk.frame import desk_page, signed_in, to_login
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin", include_in_schema=False)

_GLANCE = 10
_NEXT = Selection(frozenset({Status.SCHEDULED, Status.CLAIMED}))
_LAST = Selection(frozenset(ENDED))


@router.get("", name="admin")
async def desk(request: Request, mailbox: OpenMailbox) -> Response:
    account = await signed_in(request)
    if account is None:
        return to_login()
    now = mailbox.clock.now()
    return desk_page(
        request,
        "admin/desk.html",
        account,
        stand=await overview(now),
        alive_for=mailbox.settings.lease,
        paused=mailbox.settings.paused,
        coming=await list_deliveries(mailbox.vault, _NEXT, falling=False, limit=_GLANCE),
        ended=await list_deliveries(mailbox.vault, _LAST, falling=True, limit=_GLANCE),
    )
