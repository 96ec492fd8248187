"""The way back for who has lost their letters' addresses: by mail, to the address that was given with them."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.store.links import MOST, ask_for_links
from app.web.bodies import FormValues, JsonRoute
from app.web.forms import Rejected, read_writer
from app.web.language import language_of
from app.web.limits import may_ask
from app.web.pages import OpenMailbox, page, wake_courier
from app.web.schemas import problems
from app.wiring import quotas_of

router = APIRouter(prefix="/links", include_in_schema=False)
api = APIRouter(
    prefix="/api/links", tags=["links"], route_class=JsonRoute, responses=problems(400, 403, 413, 422, 429, 503)
)


class LinksIn(BaseModel):
    """Whose letters' links are wanted: they are mailed there, and nowhere else."""

    model_config = ConfigDict(extra="forbid")

    sender_email: str = Field(description="The address that was given as `sender_email`.")


@router.get("", name="ask for links")
async def show(request: Request) -> HTMLResponse:
    return page(request, "pages/links.html", typed={"sender_email": ""}, errors={}, most=MOST)


@router.post("", name="links", dependencies=[Depends(may_ask)])
async def ask(request: Request, mailbox: OpenMailbox, typed: FormValues) -> Response:
    """Answer the same to everybody, and look behind the answer whether there is anything to mail (P3)."""
    try:
        address = read_writer(typed)
    except Rejected as rejected:
        errors = rejected.words(language_of(request))
        shown = {"sender_email": typed.get("sender_email", "")}
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return page(request, "pages/links.html", status, typed=shown, errors=errors, most=MOST)
    mail = BackgroundTask(_mail, request, mailbox, address)
    return RedirectResponse("/links/asked", HTTPStatus.SEE_OTHER, background=mail)


@router.get("/asked", name="links asked")
async def asked(request: Request) -> HTMLResponse:
    return page(request, "pages/asked.html")


@api.post(
    "",
    name="api links",
    summary="Ask for lost links",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(may_ask)],
)
async def ask_as_json(request: Request, mailbox: OpenMailbox, wanted: LinksIn) -> Response:
    """Mail the links of all letters that were written under an address to it, once a day at most.

    The answer is the same whether there are any.
    """
    address = read_writer(wanted.model_dump())
    return Response(status_code=HTTPStatus.ACCEPTED, background=BackgroundTask(_mail, request, mailbox, address))


async def _mail(request: Request, mailbox: OpenMailbox, address: str) -> None:
    quotas = quotas_of(mailbox.settings)
    await ask_for_links(mailbox.vault, address, mailbox.message_domain, mailbox.clock.now(), quotas)
    await wake_courier(request)
