"""Error responses: a page, or JSON under /api. Never a traceback."""

from http import HTTPStatus

from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match

from app.templating import translations
from app.web.forms import N_
from app.web.language import VARY, language_of
from app.web.pages import is_admin, page

_TEXTS = {
    400: (N_("We could not read the request"), N_("The request was malformed. Please go back and try again.")),
    403: (
        N_("The request came from another site"),
        N_("For your safety we only accept forms from our own pages. Please open the page here and try again."),
    ),
    404: (N_("Page not found"), N_("The address may be mistyped, or the letter is no longer kept.")),
    405: (N_("This page does not accept that"), N_("Please start from the front page.")),
    408: (
        N_("The request took too long"),
        N_("Not all of your letter reached us. Please go back and try again: what you typed should still be there."),
    ),
    409: (
        N_("It is too late to call it back"),
        N_("The letter has already been sent, or is being sent right now."),
    ),
    413: (
        N_("That is too much for one envelope"),
        N_("Please go back, shorten the letter and try again: what you typed should still be there."),
    ),
    414: (N_("We could not read the request"), N_("The request was malformed. Please go back and try again.")),
    415: (N_("We could not read the request"), N_("The request must be a form, or JSON where JSON is expected.")),
    422: (N_("Some fields need correcting"), N_("Please check the message beside each field.")),
    429: (
        N_("Too many requests right now"),
        N_("Please try again later."),
    ),
    431: (N_("We could not read the request"), N_("The request was malformed. Please go back and try again.")),
    503: (
        N_("Temporarily unavailable"),
        N_("We cannot reach our database. Nothing is lost; please try again in a minute."),
    ),
}
_SEALED = (
    N_("The letter is sealed"),
    N_("The time for reading and changing it is over. Until it arrives no one opens it, not even you."),
)
_SOON = "60"  # seconds
_OTHERS = (N_("Something went wrong on our side"), N_("It is not your fault. Please try again later."))


def error_response(
    request: Request, status: int, errors: dict[str, str] | None = None, *, words: tuple[str, str] | None = None
) -> Response:
    """Return a page, or under /api a problem in JSON (after RFC 9457)."""
    title, text = words or _TEXTS.get(status, _OTHERS)
    if request.url.path.startswith("/api"):
        gettext = translations(language_of(request)).gettext
        content = {"status": status, "title": gettext(title), "detail": gettext(text), "errors": errors or {}}
        answer: Response = JSONResponse(content, status, {"Vary": VARY}, "application/problem+json")
    else:
        lost, in_admin = status == HTTPStatus.NOT_FOUND, is_admin(request)
        answer = page(request, "pages/error.html", status, title=title, text=text, lost=lost, in_admin=in_admin)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers["Retry-After"] = _SOON
    return answer


async def http_error(request: Request, error: HTTPException) -> Response:
    answer = error_response(request, error.status_code)
    answer.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(sorted(_allowed(request)))
    return answer


def _allowed(request: Request) -> set[str]:
    """Return all methods of an address (RFC 9110 §15.5.6): Starlette names those of its first route."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in routes for method in getattr(route, "methods", None) or ()}
    return methods | ({"HEAD"} if "GET" in methods else set())


async def letter_sealed(request: Request, _: Exception) -> Response:
    return error_response(request, HTTPStatus.CONFLICT, words=_SEALED)


async def not_withdrawable(request: Request, _: Exception) -> Response:
    return error_response(request, HTTPStatus.CONFLICT)
