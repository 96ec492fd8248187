"""Posting, showing and withdrawing letters."""

from functools import partial
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.crypto import new_token
from app.domain.status import Status
from app.errors import LimitExceeded, NotWithdrawable
from app.store.database import is_unavailable
from app.store.letters import StoredLetter
from app.templating import place_name, refusal_text, translations
from app.web.arrival_choices import postmark_day, read_letter
from app.web.clients import networks_of
from app.web.form_parsing import FormValues
from app.web.forms import HONEYPOT, N_, FormError
from app.web.language import Language, language_of
from app.web.letter_form import CLOSED, form_page
from app.web.limits import limit_changes, limit_misses, limit_posts, words_of
from app.web.outbox import is_open
from app.web.pages import CurrentServices, page, send_notices, services_of
from app.web.request_log import log_error
from app.web.timeline import timeline

router = APIRouter(include_in_schema=False)
_log = structlog.get_logger()

_KEPT = N_("What you wrote is kept below.")
_WAITING = (Status.SCHEDULED, Status.HELD, Status.FAILED)


@router.post("/letters", name="post letter")
async def post_letter(request: Request, services: CurrentServices, language: Language, typed: FormValues) -> Response:
    now = services.clock.now()
    try:
        await limit_posts(request)
        draft, promise = read_letter(typed, services.settings, language=language, written_at=now, now=now)
        if typed.get(HONEYPOT):
            return _pretend_posted()
        posted = await services.post(draft, now, promise, networks_of(request))
    except FormError as rejected:
        return form_page(request, typed, HTTPStatus.UNPROCESSABLE_ENTITY, errors=rejected.words(language))
    except LimitExceeded as error:
        notice = f"{words_of(error, language)} {translations(language).gettext(_KEPT)}"
        answer = form_page(request, typed, HTTPStatus.TOO_MANY_REQUESTS, notice=notice)
        answer.headers["Retry-After"] = str(error.seconds)
        return answer
    except Exception as error:
        if not is_unavailable(error):
            raise
        log_error(error, "post letter")
        notice = translations(language).gettext(CLOSED)
        return form_page(request, typed, HTTPStatus.SERVICE_UNAVAILABLE, notice=notice)
    courier = BackgroundTask(send_notices, request) if posted.notice else None
    return RedirectResponse(f"/letters/{posted.token}", HTTPStatus.SEE_OTHER, background=courier)


def _pretend_posted() -> RedirectResponse:
    """Answer a filled honeypot field like a success; a refusal would teach the program that filled it."""
    _log.info("honeypot field filled")
    return RedirectResponse(f"/letters/{new_token()}", HTTPStatus.SEE_OTHER)


@router.get("/letters/{token}", name="letter", dependencies=[Depends(limit_misses)])
async def show_letter(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    return _letter_page(request, token, await services.letters.find(token, services.clock.now()))


@router.get("/letters/{token}/withdraw", name="ask to withdraw", dependencies=[Depends(limit_misses)])
async def confirm_withdrawal(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    letter = await services.letters.find(token)
    if not _can_be_withdrawn(letter):
        raise NotWithdrawable("nothing of this letter waits here any more")
    return page(request, "pages/withdraw.html", token=token, letter=letter, waiting=_WAITING)


@router.post("/letters/{token}/withdraw", name="withdraw", dependencies=[Depends(limit_changes)])
async def withdraw_letter(services: CurrentServices, token: str) -> RedirectResponse:
    await services.letters.withdraw(token, services.clock.now())
    return RedirectResponse(f"/letters/{token}", HTTPStatus.SEE_OTHER)


def _letter_page(request: Request, token: str, letter: StoredLetter) -> HTMLResponse:
    services, language = services_of(request), language_of(request)
    now = services.clock.now()
    return page(
        request,
        "pages/letter.html",
        token=token,
        letter=letter,
        now=now,
        is_open=letter.is_open(now),
        stops=timeline(letter, now, language),
        why=partial(refusal_text, language=language),
        in_outbox=services.outbox is not None,
        resends=services.settings.on_uncertain == "resend",
        can_be_withdrawn=_can_be_withdrawn(letter),
        postmark_day=lambda moment: postmark_day(moment, letter.draft.timezone, language),
        place=place_name(letter.draft.timezone, language),
        outbox_open=is_open(request),
    )


def _can_be_withdrawn(letter: StoredLetter) -> bool:
    return any(delivery.status in _WAITING for delivery in letter.deliveries)
