"""The writer's pages: the form, the postmark page, and calling a letter back."""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.domain.status import Status
from app.errors import NotWithdrawable, TooMany
from app.rendering import place_of, translations
from app.sealing import new_token
from app.store.database import is_unavailable
from app.store.letters import StoredLetter
from app.web.arrivals import arrivals, postmark_day, zone_options
from app.web.bodies import FormValues
from app.web.choosing import read_letter
from app.web.forms import FIELDS, N_, TRAP, ZONES, Rejected
from app.web.journal import note
from app.web.language import Language, language_of
from app.web.limits import may_change, may_look, may_post
from app.web.outbox import is_open
from app.web.pages import OpenMailbox, mailbox_of, page, wake_courier

router = APIRouter(include_in_schema=False)
_log = structlog.get_logger()

_CLOSED = N_("Our letter store cannot be reached just now. What you wrote is kept below: please try again in a minute.")
_TOO_MANY = N_(
    "A lot has come in lately, from your place or altogether. What you wrote is kept below: please try again later."
)
_WAITING = (Status.SCHEDULED, Status.HELD, Status.FAILED)


@router.get("/", name="form")
async def form(request: Request) -> HTMLResponse:
    answer = _form(request, {})
    # The browser may keep the page for its back button: what was typed without a script is in it.
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["X-Robots-Tag"] = "all"
    return answer


@router.get("/letters", name="letters")
async def letters() -> RedirectResponse:
    """Lead back to the form whoever reloads the address of a form with errors."""
    return RedirectResponse("/", HTTPStatus.SEE_OTHER)


@router.post("/letters", name="post letter")
async def post(request: Request, mailbox: OpenMailbox, language: Language, typed: FormValues) -> Response:
    now = mailbox.clock.now()
    try:
        draft, promise = read_letter(typed, mailbox.settings, language=language, written_at=now, now=now)
        may_post(request)
        if typed.get(TRAP):
            return _as_if_posted()
        posted = await mailbox.letters.post(draft, now, promise)
    except Rejected as rejected:
        return _form(request, typed, HTTPStatus.UNPROCESSABLE_ENTITY, errors=rejected.words(language))
    except TooMany as error:
        notice = translations(language).gettext(_TOO_MANY)
        answer = _form(request, typed, HTTPStatus.TOO_MANY_REQUESTS, notice=notice)
        answer.headers["Retry-After"] = str(error.seconds)
        return answer
    except Exception as error:
        if not is_unavailable(error):
            raise
        note(error, "post letter")
        notice = translations(language).gettext(_CLOSED)
        return _form(request, typed, HTTPStatus.SERVICE_UNAVAILABLE, notice=notice)
    receipt = BackgroundTask(wake_courier, request)
    return RedirectResponse(f"/letters/{posted.token}", HTTPStatus.SEE_OTHER, background=receipt)


def _as_if_posted() -> RedirectResponse:
    """Answer like a success to what fills fields that nobody sees; a refusal would only teach it."""
    _log.info("caught in the trap")
    return RedirectResponse(f"/letters/{new_token()}", HTTPStatus.SEE_OTHER)


@router.get("/letters/{token}", name="letter", dependencies=[Depends(may_look)])
async def show(request: Request, mailbox: OpenMailbox, token: str) -> HTMLResponse:
    return _letter(request, token, await mailbox.letters.find(token))


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


def _form(
    request: Request,
    typed: Mapping[str, str],
    status: int = HTTPStatus.OK,
    *,
    errors: Mapping[str, str] | None = None,
    notice: str = "",
) -> HTMLResponse:
    mailbox, language = mailbox_of(request), language_of(request)
    zone = typed.get("timezone", "")
    shown_zone = zone if zone in ZONES else mailbox.settings.timezone
    return page(
        request,
        "pages/write.html",
        status,
        typed={name: typed.get(name, "") for name in FIELDS},
        errors=errors or {},
        notice=notice,
        zone=shown_zone,
        place=place_of(shown_zone, language),
        zone_options=zone_options(language),
        arrivals=arrivals(typed, mailbox.settings, mailbox.clock.now(), shown_zone, language),
    )


def _letter(request: Request, token: str, letter: StoredLetter) -> HTMLResponse:
    language = language_of(request)
    return page(
        request,
        "pages/letter.html",
        token=token,
        letter=letter,
        now=mailbox_of(request).clock.now(),
        can_be_withdrawn=_can_be_withdrawn(letter),
        postmark_day=lambda moment: postmark_day(moment, letter.draft.timezone, language),
        place=place_of(letter.draft.timezone, language),
        outbox_open=is_open(request),
    )


def _can_be_withdrawn(letter: StoredLetter) -> bool:
    return any(delivery.status in _WAITING for delivery in letter.deliveries)
