"""The language of a page: the reader's choice, else the browser's, else English."""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Annotated

from babel.dates import format_timedelta
from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response
from starlette.requests import HTTPConnection, Request

from app.domain.schedule import Delay
from app.templating import LANGUAGES
from app.web.cookies import read_cookie, set_cookie
from app.web.form_parsing import FormValues

COOKIE = "language"
_SWITCHED = "switched_language"
VARY = "Accept-Language, Cookie"
_YEAR = 365 * 24 * 3600  # seconds
_RANGE = re.compile(r"([a-z]{1,8}|\*)(?:-[a-z0-9-]*)?(?:\s*;\s*q=([01](?:\.\d{0,3})?))?", re.IGNORECASE)
_RETURN_LIMIT = 2000  # characters of an address; none of ours is as long
_UNITS = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}

router = APIRouter(include_in_schema=False)


def language_of(connection: HTTPConnection) -> str:
    chosen = connection.scope.get(_SWITCHED) or read_cookie(connection, connection.app.state.settings, COOKIE)
    return chosen if chosen in LANGUAGES else preferred(connection.headers.get("accept-language", ""))


async def _language(request: Request) -> str:
    return language_of(request)


Language = Annotated[str, Depends(_language)]


def switch(connection: HTTPConnection, form: Mapping[str, str]) -> None:
    """Use the language of the form's language button for this request."""
    if form.get("language", "") in LANGUAGES:
        connection.scope[_SWITCHED] = form["language"]


def remember(request: Request, answer: Response, language: str) -> None:
    set_cookie(answer, request.app.state.settings, COOKIE, language, _YEAR)


def preferred(accepted: str) -> str:
    """Return the preferred language of an Accept-Language header (RFC 9110 §12.5.4)."""
    wishes: dict[str, float] = {}
    for part in accepted.split(",")[:32]:
        match = _RANGE.fullmatch(part.strip())
        if match:
            wishes.setdefault(match[1].lower(), float(match[2] or 1))
    anything = wishes.get("*", 0.0)
    return max(LANGUAGES, key=lambda language: wishes.get(language, anything))


@lru_cache(1024)
def delay_words(delay: Delay, language: str) -> str:
    """`7 days`, `7일`, `90 minutes`."""
    span = timedelta(days=delay.days) + delay.elapsed
    unit = next((unit for unit, seconds in _UNITS.items() if span.total_seconds() % seconds == 0), "second")
    return format_timedelta(span, unit, threshold=float("inf"), locale=language)  # type: ignore[arg-type]


def safe_return(target: str) -> str:
    """Return a path on this site; anything else becomes `/` (no open redirect)."""
    own = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    own = own and len(target) <= _RETURN_LIMIT
    return target if own else "/"


@router.post("/language", name="language")
async def choose_language(request: Request, form: FormValues) -> RedirectResponse:
    answer = RedirectResponse(safe_return(form.get("next", "/")), HTTPStatus.SEE_OTHER)
    language = form.get("language", "")
    if language in LANGUAGES:
        remember(request, answer, language)
    return answer
