"""Actions on deliveries: confirmation, start, progress."""

from http import HTTPStatus
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from app.delivery.bulk_actions import BulkActions
from app.domain.delivery_filter import InvalidFilter, read_filter
from app.domain.status import Action
from app.store.bulk_actions import COUNT_LIMIT, BulkTarget, begin, count_matching, progress, step
from app.web.admin.base import SignedIn, admin_page, operator_of, read_id
from app.web.form_parsing import FormValues
from app.web.pages import CurrentServices
from app.wiring import Services

router = APIRouter(prefix="/admin/actions", include_in_schema=False)

_MOST_CHOSEN = 200
_QUERY_LIMIT = 2000  # characters; all states, occasions and reasons with a Message-ID are fewer


@router.get("/ask", name="ask before an action")
async def confirm_action(request: Request, account: SignedIn, services: CurrentServices, action: str) -> Response:
    """Ask for confirmation, with the number of deliveries. Changes nothing."""
    query = request.query_params.multi_items()
    which = (
        _selection(query, services)
        if ("meant", "all") in query
        else BulkTarget(chosen=_ids([value for name, value in query if name == "id"]))
    )
    asked = await count_matching(_action(action), which)
    return admin_page(
        request,
        "admin/confirm_action.html",
        account,
        action=_action(action),
        meant=which,
        asked=asked,
        beyond_counting=asked > COUNT_LIMIT,
        key=uuid4(),
    )


@router.post("", name="act")
async def start_action(request: Request, account: SignedIn, services: CurrentServices, form: FormValues) -> Response:
    """Start an action by the key of its form: a second click starts nothing."""
    bulk: BulkActions = request.app.state.bulk_actions
    key, action, now = _key(form.get("key", "")), _action(form.get("action", "")), services.clock.now()
    chosen = form.get("chosen", "")
    which = (
        BulkTarget(chosen=_ids(chosen.split(",", _MOST_CHOSEN)))
        if chosen
        else _selection(_query(form.get("selection", "")), services)
    )
    asked = _asked(form.get("asked", ""))
    await begin(key, action, which, asked, operator_of(request, account), now)
    if await step(key, now):
        bulk.start()
    else:
        request.app.state.wake_scan()
    return RedirectResponse(f"/admin/actions/{key}", HTTPStatus.SEE_OTHER)


@router.get("/{key}", name="progress of an action")
async def show_action_progress(request: Request, account: SignedIn, key: str) -> Response:
    """Show its progress; if no process works on it any more, this one goes on."""
    found = await progress(_key(key))
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if not found.ended:
        request.app.state.bulk_actions.start()
    return admin_page(
        request, "admin/action_progress.html", account, found=found, beyond_counting=found.asked > COUNT_LIMIT
    )


def _query(text: str) -> list[tuple[str, str]]:
    if len(text) > _QUERY_LIMIT:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return parse_qsl(text)


def _selection(query: list[tuple[str, str]], services: Services) -> BulkTarget:
    try:
        return BulkTarget(selection=read_filter(query, services.settings.zone))
    except InvalidFilter:  # our own pages ask for none such
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None


def _action(name: str) -> Action:
    try:
        return Action(name)
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None


def _key(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise HTTPException(HTTPStatus.NOT_FOUND) from None


def _asked(text: str) -> int:
    try:
        asked = read_id(text)
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
    if asked > COUNT_LIMIT + 1:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return asked


def _ids(texts: list[str]) -> tuple[int, ...]:
    try:
        ids = {read_id(text) for text in texts}
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
    if len(texts) > _MOST_CHOSEN:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return tuple(sorted(ids))
