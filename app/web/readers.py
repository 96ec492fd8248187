"""The reader's page of a letter: stopping it, blocking the mailbox it went to, and taking either back."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request

from app.store import readers
from app.web.limits import may_change, may_look
from app.web.pages import OpenMailbox, mailbox_of, page

router = APIRouter(prefix="/stop/{token}", include_in_schema=False)


@router.get("", name="reader", dependencies=[Depends(may_look)])
async def show(request: Request, token: str) -> HTMLResponse:
    return await _page(request, token)


@router.post("", name="stop")
async def stop(request: Request, mailbox: OpenMailbox, token: str) -> HTMLResponse:
    """Stop at one click (RFC 8058): the token says it all, so what the body says is not even read.

    Nobody is asked to wait: the mail programs of many readers come from one address.
    """
    await readers.stop(token, mailbox.clock.now())
    return await _page(request, token)


@router.post("/resume", name="resume", dependencies=[Depends(may_change)])
async def resume(mailbox: OpenMailbox, token: str) -> RedirectResponse:
    await readers.resume(token, mailbox.clock.now())
    return _back(token)


@router.post("/block", name="block", dependencies=[Depends(may_change)])
async def block(mailbox: OpenMailbox, token: str) -> RedirectResponse:
    await readers.block(token, mailbox.clock.now())
    return _back(token)


@router.post("/unblock", name="unblock", dependencies=[Depends(may_change)])
async def unblock(mailbox: OpenMailbox, token: str) -> RedirectResponse:
    await readers.unblock(token, mailbox.clock.now())
    return _back(token)


async def _page(request: Request, token: str) -> HTMLResponse:
    mailbox = mailbox_of(request)
    letter = await readers.received(mailbox.vault, token, mailbox.clock.now())
    return page(request, "pages/stop.html", here=f"/stop/{token}", token=token, letter=letter)


def _back(token: str) -> RedirectResponse:
    return RedirectResponse(f"/stop/{token}", HTTPStatus.SEE_OTHER)
