"""A letter to print or to file after its last arrival."""

from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response
from starlette.requests import Request

from app.errors import NotArrived
from app.mail.envelope import Mail
from app.store.export import Keepsake, keepsake
from app.web.error_pages import error_response
from app.web.forms import N_
from app.web.limits import limit_misses
from app.web.pages import CurrentServices, page
from app.wiring import build_composer

router = APIRouter(prefix="/letters/{token}", include_in_schema=False, dependencies=[Depends(limit_misses)])

_SEALED = (
    N_("The letter is still on its way"),
    N_("You can keep a copy after its last arrival. Until then no one can read it here."),
)
_MAIL = "message/rfc822"


@router.get("/keepsake", name="keepsake")
async def show_keepsake(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    kept = await keepsake(services.cipher, token)
    if not kept.values:
        return page(request, "pages/keepsake_pending.html", token=token, kept=kept)
    return page(request, "pages/keepsake.html", token=token, kept=kept)


@router.get("/keepsake.eml", name="keepsake mail")
async def download_keepsake(services: CurrentServices, token: str) -> Response:
    """Return the last mail as it was composed, without the reader's own link."""
    kept = await _opened(services, token)
    mail, sent_at = _mail(kept)
    message = build_composer(services.settings).compose(mail, sent_at).message
    name = f"letter-{kept.written_at:%Y-%m-%d}.eml"
    return Response(message, media_type=_MAIL, headers={"Content-Disposition": f'attachment; filename="{name}"'})


async def not_arrived(request: Request, _: Exception) -> Response:
    return error_response(request, HTTPStatus.CONFLICT, words=_SEALED)


async def _opened(services: CurrentServices, token: str) -> Keepsake:
    kept = await keepsake(services.cipher, token)
    if not kept.values:
        raise NotArrived("this letter has not arrived for the last time")
    return kept


def _mail(kept: Keepsake) -> tuple[Mail, datetime]:
    """Return the last mail that was sent, and when, without the reader's link."""
    occasion, message_id, sent_at = kept.arrived[-1]
    values = kept.values
    return Mail(
        occasion=occasion,
        message_id=message_id,
        recipient_email=values["recipient_email"],
        recipient_name=values["recipient_name"],
        sender_name=values["sender_name"],
        subject=values["subject"],
        body=values["body"],
        language=kept.language,
        timezone=kept.timezone,
        written_at=kept.written_at,
        send_at=kept.send_at,
        second_send_at=kept.second_send_at,
    ), sent_at
