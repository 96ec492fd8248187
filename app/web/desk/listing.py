"""The list of scheduled sends: what is meant stands in the address, and can be shared."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from app.domain.actions import Action
from app.store.accounts import AccountView
from app.store.listing import list_deliveries
from app.store.overview import COUNT_LIMIT
from app.store.progress import progress
from app.store.selecting import count
from app.web.bodies import FormPairs
from app.web.desk.finding import PRESETS, Sought, asked_for, typed_in
from app.web.desk.frame import SignedIn, desk_page
from app.web.language import language_of
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin", include_in_schema=False)


@router.get("/deliveries", name="admin list")
async def deliveries(request: Request, account: SignedIn, mailbox: OpenMailbox, at: str = "") -> Response:
    sought = asked_for(request.query_params.multi_items(), mailbox.settings.zone)
    if sought.selection is None:
        return _refused(request, account, sought)
    return _listing(
        request,
        account,
        sought,
        found=await list_deliveries(mailbox.vault, sought.selection, falling=sought.falling, cursor=at),
        number=await count(sought.selection, COUNT_LIMIT),
        moving=await progress(mailbox.clock.now()),
    )


@router.post("/deliveries", name="admin find")
async def find(request: Request, account: SignedIn, mailbox: OpenMailbox, form: FormPairs) -> Response:
    """Lead to what was asked for. An address is posted, so that none ever stands in an address bar or a log."""
    sought = typed_in(form, mailbox.settings.zone, mailbox.vault)
    if sought.selection is None:
        return _refused(request, account, sought)
    return RedirectResponse(f"/admin/deliveries?{sought.query()}", HTTPStatus.SEE_OTHER)


def _refused(request: Request, account: AccountView, sought: Sought) -> Response:
    answer = _listing(request, account, sought, found=None, number=0, moving=None)
    answer.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
    return answer


def _listing(request: Request, account: AccountView, sought: Sought, **found: Any) -> Response:
    return desk_page(
        request,
        "admin/deliveries.html",
        account,
        sought=sought,
        errors={name: fault.words(language_of(request)) for name, fault in sought.faults.items()},
        preset_states=PRESETS,
        actions=[each for each in Action if sought.selection and each.begins_at & sought.selection.states],
        **found,
    )
