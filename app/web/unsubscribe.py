"""A reader's links: stop a letter, block an address, stop all our notices, and undo each (docs/standards.md E8)."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request

from app.store import unsubscribe
from app.web.limits import limit_changes, limit_misses, may_unsubscribe
from app.web.pages import CurrentServices, page, services_of

router = APIRouter(include_in_schema=False)


@router.get("/stop/{token}", name="reader", dependencies=[Depends(limit_misses)])
async def show_unsubscribe(request: Request, token: str) -> HTMLResponse:
    return await _unsubscribe_page(request, token)


@router.post("/stop/{token}", name="stop", dependencies=[Depends(may_unsubscribe)])
async def stop_letter(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    """One-click unsubscribe (RFC 8058): the token is enough, the body is not read.

    Only wrong links count against a client: mail providers post for many readers from one address.
    """
    await unsubscribe.stop(token, services.clock.now())
    return await _unsubscribe_page(request, token)


@router.post("/stop/{token}/resume", name="resume", dependencies=[Depends(limit_changes)])
async def resume_letter(services: CurrentServices, token: str) -> RedirectResponse:
    await unsubscribe.resume(token, services.clock.now())
    return _redirect_back(token)


@router.post("/stop/{token}/block", name="block", dependencies=[Depends(limit_changes)])
async def block_sender(services: CurrentServices, token: str) -> RedirectResponse:
    await unsubscribe.block(token, services.clock.now())
    return _redirect_back(token)


@router.post("/stop/{token}/unblock", name="unblock", dependencies=[Depends(limit_changes)])
async def unblock_sender(services: CurrentServices, token: str) -> RedirectResponse:
    await unsubscribe.unblock(token, services.clock.now())
    return _redirect_back(token)


async def _unsubscribe_page(request: Request, token: str) -> HTMLResponse:
    services = services_of(request)
    letter = await unsubscribe.received(services.cipher, token, services.clock.now())
    return page(request, "pages/unsubscribe.html", here=f"/stop/{token}", token=token, letter=letter)


def _redirect_back(token: str) -> RedirectResponse:
    return RedirectResponse(f"/stop/{token}", HTTPStatus.SEE_OTHER)


@router.get("/quiet/{token}", name="quiet", dependencies=[Depends(limit_misses)])
async def show_notices(request: Request, token: str) -> HTMLResponse:
    return await _notices_page(request, token)


@router.post("/quiet/{token}", name="close mailbox", dependencies=[Depends(may_unsubscribe)])
async def stop_notices(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    """Block the address at one click, as `stop_letter` does."""
    await unsubscribe.block_address(services.cipher.mailbox_of(token), services.clock.now())
    return await _notices_page(request, token)


@router.post("/quiet/{token}/open", name="open mailbox", dependencies=[Depends(limit_changes)])
async def resume_notices(services: CurrentServices, token: str) -> RedirectResponse:
    await unsubscribe.unblock_address(services.cipher.mailbox_of(token), services.clock.now())
    return RedirectResponse(f"/quiet/{token}", HTTPStatus.SEE_OTHER)


async def _notices_page(request: Request, token: str) -> HTMLResponse:
    closed = await unsubscribe.is_blocked(services_of(request).cipher.mailbox_of(token))
    return page(request, "pages/stop_all.html", here=f"/quiet/{token}", token=token, closed=closed)
