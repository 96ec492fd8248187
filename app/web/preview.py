"""A letter as it will arrive, before it is posted. Stores nothing."""

import re
from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from app.domain.letter import Draft
from app.domain.schedule import Promise
from app.domain.status import Occasion
from app.mail.compose import MailPreview
from app.mail.envelope import Mail
from app.templating import place_name
from app.web.arrival_choices import read_letter
from app.web.form_parsing import FormValues, JsonRoute
from app.web.forms import FIELDS, HONEYPOT, FormError
from app.web.language import Language, language_of, switch
from app.web.letter_form import form_page, remember_switch
from app.web.limits import limit_previews
from app.web.pages import CurrentServices, page
from app.web.schemas import LetterIn, LookOut, problems
from app.web.security import CONTENT_SECURITY_POLICY
from app.wiring import Services, build_composer

router = APIRouter(include_in_schema=False)
api = APIRouter(
    prefix="/api/letters/look",
    tags=["letters"],
    route_class=JsonRoute,
    responses=problems(400, 403, 413, 422, 429, 503),
)
_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)


@router.post("/letters/look", name="look at letter", dependencies=[Depends(limit_previews)])
async def preview_letter(request: Request, services: CurrentServices, typed: FormValues) -> HTMLResponse:
    switch(request, typed)
    language, now = language_of(request), services.clock.now()
    try:
        draft, promise = read_letter(typed, services.settings, language=language, written_at=now, now=now)
    except FormError as rejected:
        answer = form_page(request, typed, HTTPStatus.UNPROCESSABLE_ENTITY, errors=rejected.words(language))
    else:
        seen = _preview(services, draft, promise, now)
        kept = {name: typed[name] for name in (*FIELDS, HONEYPOT) if typed.get(name)}
        place = place_name(draft.timezone, language)
        answer = page(request, "pages/preview.html", mail=seen, kept=kept, draft=draft, promise=promise, place=place)
        answer.headers["Content-Security-Policy"] = _policy(seen.html)
    remember_switch(request, answer, typed)
    return answer


@api.post("", name="api look at letter", summary="Preview a letter", dependencies=[Depends(limit_previews)])
async def preview_letter_json(letter: LetterIn, services: CurrentServices, language: Language) -> LookOut:
    """Return a letter as it will arrive. Nothing is posted or stored."""
    now = services.clock.now()
    draft, promise = read_letter(letter.model_dump(), services.settings, language=language, written_at=now, now=now)
    seen = _preview(services, draft, promise, now)
    return LookOut(
        sender=seen.sender,
        subject=seen.subject,
        text=seen.text,
        html=seen.html,
        send_at=promise.first,
        second_send_at=promise.second,
    )


def _preview(services: Services, draft: Draft, promise: Promise, now: datetime) -> MailPreview:
    mail = _mail(draft, promise, now, services.settings.origin)
    return build_composer(services.settings).preview(mail, promise.first)


def _mail(draft: Draft, promise: Promise, written_at: datetime, origin: str) -> Mail:
    """Return the first arrival's mail, without a reader's link."""
    return Mail(
        occasion=Occasion.FIRST,
        message_id="",
        recipient_email=draft.recipient_email,
        recipient_name=draft.recipient_name,
        sender_name=draft.sender_name,
        subject=draft.subject,
        body=draft.body,
        language=draft.language,
        timezone=draft.timezone,
        written_at=written_at,
        send_at=promise.first,
        second_send_at=promise.second,
        stop_url=f"{origin}/stop/…",
    )


def _policy(html: str) -> str:
    """Return the usual policy with the hash of the mail's style, which its frame inherits."""
    hashes = (b64encode(sha256(style.encode()).digest()).decode() for style in _STYLE.findall(html))
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return CONTENT_SECURITY_POLICY.replace("style-src 'self'", f"style-src 'self' {allowed}")
