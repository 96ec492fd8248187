"""The letter form, empty or with what was typed. Stores nothing."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.requests import Request

from app.store.letters import StoredLetter
from app.templating import LANGUAGES, place_name
from app.web.arrival_choices import arrivals, zone_options
from app.web.form_parsing import FormValues
from app.web.forms import FIELDS, N_, ZONES
from app.web.language import language_of, remember, switch
from app.web.pages import page, services_of

router = APIRouter(include_in_schema=False)

CLOSED = N_("We cannot reach our database right now. What you wrote is kept below: please try again in a minute.")


@router.get("/", name="form")
async def show_form(request: Request) -> HTMLResponse:
    answer = form_page(request, {})
    # The browser may keep the page for its back button, with what was typed without a script.
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["X-Robots-Tag"] = "all"
    return answer


@router.get("/letters", name="letters")
@router.get("/letters/draft", name="draft")
@router.get("/letters/look", name="look")
async def redirect_to_form() -> RedirectResponse:
    """For a reload of an address that a form was posted to."""
    return RedirectResponse("/", HTTPStatus.SEE_OTHER)


@router.post("/letters/draft", name="go on writing")
async def continue_draft(request: Request, typed: FormValues) -> HTMLResponse:
    """Show the form with what was typed, in the chosen language."""
    switch(request, typed)
    answer = form_page(request, typed)
    remember_switch(request, answer, typed)
    return answer


def remember_switch(request: Request, answer: HTMLResponse, typed: Mapping[str, str]) -> None:
    if typed.get("language", "") in LANGUAGES:
        remember(request, answer, typed["language"])


def form_page(
    request: Request,
    typed: Mapping[str, str],
    status: int = HTTPStatus.OK,
    *,
    errors: Mapping[str, str] | None = None,
    notice: str = "",
    letter: StoredLetter | None = None,
) -> HTMLResponse:
    """Return the form for a new letter or for editing one.

    Without typed values the browser may fill in what it kept.
    """
    services, language = services_of(request), language_of(request)
    zone = typed.get("timezone", "")
    shown_zone = zone if zone in ZONES else services.settings.timezone
    written_at = letter.written_at if letter else services.clock.now()
    return page(
        request,
        "pages/edit.html" if letter else "pages/write.html",
        status,
        typed={name: typed.get(name, "") for name in FIELDS},
        fresh=not typed,
        errors=errors or {},
        notice=notice,
        zone=shown_zone,
        place=place_name(shown_zone, language),
        zone_options=zone_options(language),
        arrivals=arrivals(typed, services.settings, written_at, shown_zone, language),
        letter=letter,
        here=request.url.path if letter else "/letters/draft",
    )
