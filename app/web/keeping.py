"""What is kept about a letter: its writer may have it all, and have it forgotten."""

import asyncio
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from app.errors import LeavingJustNow
from app.store.export import export
from app.store.forgetting import erase
from app.web.limits import may_change, may_look
from app.web.pages import OpenMailbox, page

router = APIRouter(prefix="/letters/{token}", include_in_schema=False)


@router.get("/export", name="export", dependencies=[Depends(may_look)])
async def download(mailbox: OpenMailbox, token: str, response: Response) -> dict[str, Any]:
    response.headers["Content-Disposition"] = 'attachment; filename="letter.json"'
    return await export(mailbox.vault, token, mailbox.clock.now())


@router.get("/erase", name="ask to erase", dependencies=[Depends(may_look)])
async def ask_to_erase(request: Request, mailbox: OpenMailbox, token: str) -> HTMLResponse:
    letter = await mailbox.letters.find(token)
    return page(request, "pages/erase.html", token=token, letter=letter, leaving=False)


@router.post("/erase", name="erase", dependencies=[Depends(may_change)])
async def forget(request: Request, mailbox: OpenMailbox, token: str) -> HTMLResponse:
    try:
        message_ids = await erase(token, mailbox.clock.now())
    except LeavingJustNow:
        letter = await mailbox.letters.find(token)
        return page(request, "pages/erase.html", HTTPStatus.CONFLICT, token=token, letter=letter, leaving=True)
    if mailbox.outbox:
        await asyncio.to_thread(mailbox.outbox.forget, message_ids)
    return page(request, "pages/erased.html")
