"""The reader's page of a letter: stopping it, blocking the mailbox it went to, and taking either back."""

from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.store import unsubscribe
from app.store.unsubscribe import SecondArrival
from app.web.limits import limit_changes, limit_misses, may_unsubscribe
from app.web.pages import CurrentServices, page, services_of
from app.web.schemas import problems
from app.wiring import Services

router = APIRouter(prefix="/stop/{token}", include_in_schema=False)
api = APIRouter(prefix="/api/stop/{token}", tags=["readers"], responses=problems(400, 403, 404, 413, 422, 429, 503))


class ReceivedOut(BaseModel):
    """A letter as its reader's link shows it, and nothing of what it says."""

    model_config = ConfigDict(from_attributes=True)

    address: str = Field(description="The reader's, with most of it hidden; empty once the letter is forgotten.")
    written_at: datetime
    coming: SecondArrival = Field(
        description="Whether it comes (again): waits, leaves just now, was stopped, or never."
    )
    again_at: datetime | None = Field(description="When it comes, or would come, once more.")
    resumable: bool = Field(description="Whether the stop can still be taken back.")
    blocked: bool = Field(description="Whether the address takes no letters at all.")


@router.get("", name="reader", dependencies=[Depends(limit_misses)])
async def show_unsubscribe(request: Request, token: str) -> HTMLResponse:
    return await _unsubscribe_page(request, token)


@router.post("", name="stop", dependencies=[Depends(may_unsubscribe)])
async def stop_letter(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    """Stop at one click (RFC 8058): the token says it all, so what the body says is not even read.

    Only wrong links count against a client: the mail programs of many readers come from one address.
    """
    await unsubscribe.stop(token, services.clock.now())
    return await _unsubscribe_page(request, token)


@router.post("/resume", name="resume", dependencies=[Depends(limit_changes)])
async def resume_letter(services: CurrentServices, token: str) -> RedirectResponse:
    await unsubscribe.resume(token, services.clock.now())
    return _redirect_back(token)


@router.post("/block", name="block", dependencies=[Depends(limit_changes)])
async def block_sender(services: CurrentServices, token: str) -> RedirectResponse:
    await unsubscribe.block(token, services.clock.now())
    return _redirect_back(token)


@router.post("/unblock", name="unblock", dependencies=[Depends(limit_changes)])
async def unblock_sender(services: CurrentServices, token: str) -> RedirectResponse:
    await unsubscribe.unblock(token, services.clock.now())
    return _redirect_back(token)


@api.get("", name="api reader", summary="See whether a letter comes again", dependencies=[Depends(limit_misses)])
async def show_as_json(services: CurrentServices, token: str) -> ReceivedOut:
    """Say what a reader has chosen about a letter; this changes nothing."""
    return await _received(services, token)


@api.post("", name="api stop", summary="Stop a letter", dependencies=[Depends(limit_changes)])
async def stop_as_json(services: CurrentServices, token: str) -> ReceivedOut:
    """Bring this letter no more; twice is the same as once."""
    await unsubscribe.stop(token, services.clock.now())
    return await _received(services, token)


@api.post("/resume", name="api resume", summary="Take a stop back", dependencies=[Depends(limit_changes)])
async def resume_as_json(services: CurrentServices, token: str) -> ReceivedOut:
    """Bring this letter again after all, if its day has not passed."""
    await unsubscribe.resume(token, services.clock.now())
    return await _received(services, token)


@api.post("/block", name="api block", summary="Block all letters", dependencies=[Depends(limit_changes)])
async def block_as_json(services: CurrentServices, token: str) -> ReceivedOut:
    """Bring nothing to this address any more, whoever writes it."""
    await unsubscribe.block(token, services.clock.now())
    return await _received(services, token)


@api.post("/unblock", name="api unblock", summary="Allow mail again", dependencies=[Depends(limit_changes)])
async def unblock_as_json(services: CurrentServices, token: str) -> ReceivedOut:
    """Take a block back; what was to come meanwhile comes now."""
    await unsubscribe.unblock(token, services.clock.now())
    return await _received(services, token)


async def _received(services: Services, token: str) -> ReceivedOut:
    return ReceivedOut.model_validate(await unsubscribe.received(services.cipher, token, services.clock.now()))


async def _unsubscribe_page(request: Request, token: str) -> HTMLResponse:
    services = services_of(request)
    letter = await unsubscribe.received(services.cipher, token, services.clock.now())
    return page(request, "pages/unsubscribe.html", here=f"/stop/{token}", token=token, letter=letter)


def _redirect_back(token: str) -> RedirectResponse:
    return RedirectResponse(f"/stop/{token}", HTTPStatus.SEE_OTHER)
