"""A writer's export of what is stored about a letter, and its erasure."""

import asyncio
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from app.errors import BeingSent
from app.store.export import export
from app.store.retention import erase
from app.web.limits import limit_changes, limit_misses
from app.web.pages import CurrentServices, page
from app.web.schemas import problems
from app.wiring import Services

router = APIRouter(prefix="/letters/{token}", include_in_schema=False)
api = APIRouter(
    prefix="/api/letters/{token}", tags=["letters"], responses=problems(400, 403, 404, 409, 413, 422, 429, 503)
)


@router.get("/export", name="export", dependencies=[Depends(limit_misses)])
@api.get("/export", name="api export", summary="Download what is kept", dependencies=[Depends(limit_misses)])
async def download_export(services: CurrentServices, token: str, response: Response) -> dict[str, Any]:
    """Return all that is stored about a letter, attempts and hashes too; `body` is null while it is sealed."""
    response.headers["Content-Disposition"] = 'attachment; filename="letter.json"'
    return await export(services.cipher, token, services.clock.now())


@router.get("/erase", name="ask to erase", dependencies=[Depends(limit_misses)])
async def confirm_erasure(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    letter = await services.letters.find(token)
    return page(request, "pages/erase.html", token=token, letter=letter, leaving=False)


@router.post("/erase", name="erase", dependencies=[Depends(limit_changes)])
async def erase_letter(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    try:
        await _erase(services, token)
    except BeingSent:
        letter = await services.letters.find(token)
        return page(request, "pages/erase.html", HTTPStatus.CONFLICT, token=token, letter=letter, leaving=True)
    return page(request, "pages/erased.html")


@api.post(
    "/erase",
    name="api erase",
    summary="Erase a letter",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[Depends(limit_changes)],
)
async def erase_letter_json(services: CurrentServices, token: str) -> None:
    """Cancel what has not been sent, and delete text, names and addresses for good. 409: it is being sent."""
    await _erase(services, token)


async def _erase(services: Services, token: str) -> None:
    """Erase a letter and its copies in the outbox. Raises LetterNotFound, BeingSent."""
    message_ids = await erase(token, services.clock.now())
    if services.outbox:
        await asyncio.to_thread(services.outbox.forget, message_ids)
