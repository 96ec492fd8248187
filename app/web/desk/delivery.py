"""The page of one delivery."""

from http import HTTPStatus

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from starlette.requests import Request

from app.domain.actions import Action
from app.store.inspecting import inspect
from app.store.trail import touches
from app.web.desk.frame import DeliveryId, SignedIn, desk_page
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin", include_in_schema=False)


@router.get("/deliveries/{delivery_id}", name="admin delivery")
async def delivery(request: Request, account: SignedIn, mailbox: OpenMailbox, delivery_id: DeliveryId) -> Response:
    found = await inspect(mailbox.vault, delivery_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return desk_page(
        request,
        "admin/delivery.html",
        account,
        found=found,
        touches=await touches(delivery_id),
        actions=[each for each in Action if found.row.status in each.begins_at],
    )
