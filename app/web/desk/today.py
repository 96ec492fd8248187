"""How the post office stands today."""

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from app.domain.status import Status
from app.store.listing import ENDED, list_deliveries
from app.store.overview import overview
from app.web.desk.frame import desk_page, signed_in, to_login
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin", include_in_schema=False)

_GLANCE = 10
_NEXT = (Status.SCHEDULED, Status.CLAIMED)


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
        coming=await list_deliveries(mailbox.vault, _NEXT, limit=_GLANCE),
        ended=await list_deliveries(mailbox.vault, ENDED, limit=_GLANCE),
    )
