"""Editing a letter within its edit window."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from app.domain.schedule import Delay, arrival
from app.errors import EditWindowClosed
from app.settings import Settings
from app.store.database import is_unavailable
from app.store.execution import within
from app.store.letters import StoredLetter
from app.templating import translations
from app.web.arrival_choices import NEVER, ON_A_DAY, USUAL, read_letter
from app.web.form_parsing import FormValues
from app.web.forms import N_, FormError
from app.web.language import language_of, switch
from app.web.letter_form import CLOSED, form_page, remember_switch
from app.web.limits import limit_changes, limit_misses
from app.web.pages import CurrentServices
from app.web.request_log import log_error
from app.wiring import LONGEST_POST, Services

router = APIRouter(prefix="/letters/{token}/change", include_in_schema=False)

_TOO_LATE = N_(
    "The letter has been sealed in the meantime or is being sent right now, so your changes were not saved. "
    "They are shown below in case you want to keep them."
)


def form_values_of(letter: StoredLetter, settings: Settings) -> dict[str, str]:
    """Return the form values that would produce this letter."""
    draft = letter.draft
    first = _wish(letter.send_at, settings.first_delay, letter)
    second = _wish(letter.second_send_at, settings.second_delay, letter)
    return {
        **{name: getattr(draft, name) for name in ("recipient_email", "recipient_name", "subject", "body")},
        **{name: getattr(draft, name) for name in ("sender_name", "sender_email", "timezone")},
        **dict(zip(("first_arrival", "first_date"), first, strict=True)),
        **dict(zip(("second_arrival", "second_date"), second, strict=True)),
    }


def _wish(moment: datetime | None, usual: Delay, letter: StoredLetter) -> tuple[str, str]:
    zone = ZoneInfo(letter.draft.timezone)
    if moment is None:
        return NEVER, ""
    if moment == arrival(letter.written_at, usual, zone):
        return USUAL, ""
    return ON_A_DAY, moment.astimezone(zone).date().isoformat()


async def apply_edit(services: Services, token: str, letter: StoredLetter, typed: Mapping[str, str]) -> None:
    """Change a letter; its recipient and language stay. Raises FormError, and what `LetterEditor.edit` raises."""
    settings, now = services.settings, services.clock.now()
    fixed = {"recipient_email": letter.draft.recipient_email, "sender_email": letter.draft.sender_email}
    draft, promise = read_letter(
        {**typed, **fixed}, settings, language=letter.draft.language, written_at=letter.written_at, now=now
    )
    await within(LONGEST_POST, services.editor.edit(token, draft, promise, now))


@router.get("", name="ask to change", dependencies=[Depends(limit_misses)])
async def show_edit_form(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    letter = await services.letters.find(token)
    if not letter.is_open(services.clock.now()):
        raise EditWindowClosed("this letter is sealed by now")
    return form_page(request, form_values_of(letter, services.settings), letter=letter)


@router.post("", name="change letter", dependencies=[Depends(limit_changes)])
async def edit_letter(request: Request, services: CurrentServices, token: str, typed: FormValues) -> Response:
    letter = await services.letters.find(token)
    if "language" in typed:
        switch(request, typed)
        answer = form_page(request, typed, letter=letter)
        remember_switch(request, answer, typed)
        return answer
    language = language_of(request)
    try:
        await apply_edit(services, token, letter, typed)
    except FormError as rejected:
        status, errors = HTTPStatus.UNPROCESSABLE_ENTITY, rejected.words(language)
        return form_page(request, typed, status, errors=errors, letter=letter)
    except EditWindowClosed:
        notice = translations(language).gettext(_TOO_LATE)
        return form_page(request, typed, HTTPStatus.CONFLICT, notice=notice, letter=letter)
    except Exception as error:
        if not is_unavailable(error):
            raise
        log_error(error, "change letter")
        notice = translations(language).gettext(CLOSED)
        return form_page(request, typed, HTTPStatus.SERVICE_UNAVAILABLE, notice=notice, letter=letter)
    return RedirectResponse(f"/letters/{token}", HTTPStatus.SEE_OTHER)
