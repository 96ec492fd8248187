"""Behind the link of a mail that asks for a confirmation: a question, and its answer by POST (docs/standards.md P1)."""

from http import HTTPStatus

from fastapi import APIRouter, BackgroundTasks, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.errors import LinkDead
from app.store import confirming
from app.store.confirming import Link
from app.web.forms import N_
from app.web.limits import may_change, may_look
from app.web.pages import OpenMailbox, page, wake_courier
from app.web.problems import problem
from app.web.schemas import problems

router = APIRouter(prefix="/confirm/{token}", include_in_schema=False)
api = APIRouter(
    prefix="/api/confirmations/{token}", tags=["confirmations"], responses=problems(400, 403, 404, 413, 422, 429, 503)
)

_DEAD = (
    N_("This link has run out"),
    N_("It works once, within 48 hours. What waited for it longer than that has been called off, unsent."),
)


class ConfirmationOut(BaseModel):
    """Whether a link of a mail that asks for a confirmation still works: each does once, for 48 hours."""

    link: Link


@router.get("", name="confirmation", dependencies=[Depends(may_look)])
async def show(request: Request, mailbox: OpenMailbox, token: str) -> HTMLResponse:
    link = await confirming.look_up(token, mailbox.clock.now())
    status = HTTPStatus.GONE if link is Link.EXPIRED else HTTPStatus.OK
    return page(request, "pages/confirm.html", status, token=token, link=link)


@router.post("", name="confirm", dependencies=[Depends(may_change)])
async def confirm(request: Request, mailbox: OpenMailbox, token: str) -> RedirectResponse:
    await confirming.confirm(token, mailbox.clock.now())
    receipts = BackgroundTask(wake_courier, request)
    return RedirectResponse(f"/confirm/{token}", HTTPStatus.SEE_OTHER, background=receipts)


@api.get("", name="api confirmation", summary="Look at a confirmation", dependencies=[Depends(may_look)])
async def show_as_json(mailbox: OpenMailbox, token: str) -> ConfirmationOut:
    """Say whether a link still works; this changes nothing."""
    return ConfirmationOut(link=await confirming.look_up(token, mailbox.clock.now()))


@api.post(
    "",
    name="api confirm",
    summary="Confirm",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(410),
    dependencies=[Depends(may_change)],
)
async def confirm_as_json(request: Request, mailbox: OpenMailbox, token: str, background: BackgroundTasks) -> None:
    """Free all letters that wait for this address; 410 where the link was used before, or has run out."""
    if await confirming.confirm(token, mailbox.clock.now()) is not Link.LIVE:
        raise LinkDead("this link was used before, or has run out")
    background.add_task(wake_courier, request)


async def dead(request: Request, _: Exception) -> Response:
    return problem(request, HTTPStatus.GONE, words=_DEAD)
