"""Posting a letter, its postmark page, and calling it back."""

from functools import partial
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.domain.status import Status
from app.errors import NotWithdrawable, TooMany
from app.rendering import place_of, refused_because, translations
from app.sealing import new_token
from app.store.database import is_unavailable
from app.store.letters import StoredLetter
from app.web.arrivals import postmark_day
from app.web.bodies import FormValues
from app.web.choosing import read_letter
from app.web.clients import networks_of
from app.web.forms import N_, TRAP, Rejected
from app.web.journal import note
from app.web.language import Language, language_of
from app.web.limits import may_change, may_look, may_post, words_of
from app.web.outbox import is_open
from app.web.pages import OpenMailbox, mailbox_of, page, wake_courier
from app.web.route import stops
from app.web.writing import CLOSED, form_page

router = APIRouter(include_in_schema=False)
_log = structlog.get_logger()

_KEPT = N_("What you wrote is kept below.")
_WAITING = (Status.SCHEDULED, Status.HELD, Status.FAILED)


@router.post("/letters", name="post letter")
async def post(request: Request, mailbox: OpenMailbox, language: Language, typed: FormValues) -> Response:
    now = mailbox.clock.now()
    try:
        await may_post(request)
        draft, promise = read_letter(typed, mailbox.settings, language=language, written_at=now, now=now)
        if typed.get(TRAP):
            return _as_if_posted()
        posted = await mailbox.post(draft, now, promise, networks_of(request))
    except Rejected as rejected:
        return form_page(request, typed, HTTPStatus.UNPROCESSABLE_ENTITY, errors=rejected.words(language))
    except TooMany as error:
        notice = f"{words_of(error, language)} {translations(language).gettext(_KEPT)}"
        answer = form_page(request, typed, HTTPStatus.TOO_MANY_REQUESTS, notice=notice)
        answer.headers["Retry-After"] = str(error.seconds)
        return answer
    except Exception as error:
        if not is_unavailable(error):
            raise
        note(error, "post letter")
        notice = translations(language).gettext(CLOSED)
        return form_page(request, typed, HTTPStatus.SERVICE_UNAVAILABLE, notice=notice)
    courier = BackgroundTask(wake_courier, request) if posted.notice else None
    return RedirectResponse(f"/letters/{posted.token}", HTTPStatus.SEE_OTHER, background=courier)


def _as_if_posted() -> RedirectResponse:
    """Answer like a success to what fills fields that nobody sees; a refusal would only teach it."""
    _log.info("caught in the trap")
    return RedirectResponse(f"/letters/{new_token()}", HTTPStatus.SEE_OTHER)


@router.get("/letters/{token}", name="letter", dependencies=[Depends(may_look)])
async def show(request: Request, mailbox: OpenMailbox, token: str) -> HTMLResponse:
    return _letter(request, token, await mailbox.letters.find(token, mailbox.clock.now()))


@router.get("/letters/{token}/withdraw", name="ask to withdraw", dependencies=[Depends(may_look)])
async def ask_to_withdraw(request: Request, mailbox: OpenMailbox, token: str) -> HTMLResponse:
    letter = await mailbox.letters.find(token)
    if not _can_be_withdrawn(letter):
        raise NotWithdrawable("nothing of this letter waits here any more")
    return page(request, "pages/withdraw.html", token=token, letter=letter, waiting=_WAITING)


@router.post("/letters/{token}/withdraw", name="withdraw", dependencies=[Depends(may_change)])
async def withdraw(mailbox: OpenMailbox, token: str) -> RedirectResponse:
    await mailbox.letters.withdraw(token, mailbox.clock.now())
    return RedirectResponse(f"/letters/{token}", HTTPStatus.SEE_OTHER)


def _letter(request: Request, token: str, letter: StoredLetter) -> HTMLResponse:
    mailbox, language = mailbox_of(request), language_of(request)
    now = mailbox.clock.now()
    return page(
        request,
        "pages/letter.html",
        token=token,
        letter=letter,
        now=now,
        is_open=letter.is_open(now),
        stops=stops(letter, now, language),
        why=partial(refused_because, language=language),
        in_outbox=mailbox.outbox is not None,
        resends=mailbox.settings.on_uncertain == "resend",
        can_be_withdrawn=_can_be_withdrawn(letter),
        postmark_day=lambda moment: postmark_day(moment, letter.draft.timezone, language),
        place=place_of(letter.draft.timezone, language),
        outbox_open=is_open(request),
    )


def _can_be_withdrawn(letter: StoredLetter) -> bool:
    return any(delivery.status in _WAITING for delivery in letter.deliveries)
