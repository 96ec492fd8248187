"""The JSON API for letters."""

from http import HTTPStatus

from fastapi import APIRouter, BackgroundTasks, Depends, Response
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

from app.store.letters import DeliveryState
from app.templating import translations
from app.web.arrival_choices import read_letter
from app.web.clients import networks_of
from app.web.editing import apply_edit, form_values_of
from app.web.error_pages import error_response
from app.web.form_parsing import TWICE, JsonRoute
from app.web.forms import MISSING_ADDRESS, MISSING_BODY, N_, FormError
from app.web.language import Language, language_of
from app.web.limits import limit_changes, limit_misses, limit_posts
from app.web.pages import CurrentServices, send_notices
from app.web.schemas import ChangeIn, DeliveryOut, LetterIn, LetterOut, PostedOut, TextOut, problems
from app.wiring import Services

_MISSING = {"recipient_email": MISSING_ADDRESS.message, "body": MISSING_BODY.message}
_WRONG_KIND = {
    "missing": N_("This field is required."),
    "extra_forbidden": N_("This field is unknown."),
    "string_type": N_("This must be text."),
    "string_unicode": N_("This contains half a character (a lone surrogate)."),
}
_NO_JSON = N_("This is not a JSON object.")
_TWICE = N_("This JSON object contains the same name twice.")


router = APIRouter(
    prefix="/api/letters", tags=["letters"], route_class=JsonRoute, responses=problems(400, 403, 413, 422, 429, 503)
)


@router.post(
    "",
    name="api post letter",
    summary="Post a letter",
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(limit_posts)],
)
async def post_letter(
    letter: LetterIn,
    services: CurrentServices,
    language: Language,
    request: Request,
    response: Response,
    background: BackgroundTasks,
) -> PostedOut:
    """Post a letter; it is held until it is confirmed where the operator requires that."""
    now = services.clock.now()
    draft, promise = read_letter(letter.model_dump(), services.settings, language=language, written_at=now, now=now)
    posted = await services.post(draft, now, promise, networks_of(request))
    url = f"{services.settings.origin}/letters/{posted.token}"
    response.headers["Location"] = f"/api/letters/{posted.token}"
    if posted.notice:
        background.add_task(send_notices, request)
    return PostedOut(
        token=posted.token,
        url=url,
        send_at=posted.send_at,
        second_send_at=posted.second_send_at,
        status=posted.status,
    )


@router.get(
    "/{token}",
    name="api letter",
    summary="See where a letter is",
    responses=problems(404),
    dependencies=[Depends(limit_misses)],
)
async def show_letter(token: str, services: CurrentServices) -> LetterOut:
    """Show where a letter is, and its text while it may be read."""
    return await letter_json(token, services)


@router.patch(
    "/{token}",
    name="api change letter",
    summary="Change a letter",
    responses=problems(404, 409),
    dependencies=[Depends(limit_changes)],
)
async def edit_letter(token: str, changed: ChangeIn, services: CurrentServices) -> LetterOut:
    """Edit a letter within its edit window. 409: the window is over; nothing has changed.

    The recipient address is changed by `address`.
    """
    letter = await services.letters.find(token)
    typed = form_values_of(letter, services.settings) | changed.model_dump(exclude_unset=True)
    await apply_edit(services, token, letter, typed)
    return await letter_json(token, services)


async def letter_json(token: str, services: Services) -> LetterOut:
    """Raises LetterNotFound."""
    letter = await services.letters.find(token, services.clock.now())
    return LetterOut(
        token=token,
        url=f"{services.settings.origin}/letters/{token}",
        send_at=letter.send_at,
        second_send_at=letter.second_send_at,
        status=letter.status,
        recipient_email=letter.draft.recipient_email,
        timezone=letter.draft.timezone,
        written_at=letter.written_at,
        sealed_at=letter.sealed_at,
        text=TextOut.model_validate(letter.draft) if letter.is_readable(services.clock.now()) else None,
        deliveries=[_delivery(state) for state in letter.deliveries],
    )


@router.delete(
    "/{token}",
    name="api withdraw",
    summary="Call a letter back",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404, 409),
    dependencies=[Depends(limit_changes)],
)
async def withdraw_letter(token: str, services: CurrentServices) -> None:
    """Cancel what has not been sent. Idempotent. 409: all of it has been sent, or is being sent."""
    await services.letters.withdraw(token, services.clock.now())


def _delivery(state: DeliveryState) -> DeliveryOut:
    return DeliveryOut.model_validate(state)


async def form_error(request: Request, error: FormError) -> Response:
    return error_response(request, HTTPStatus.UNPROCESSABLE_ENTITY, error.words(language_of(request)))


async def wrong_kind(request: Request, error: RequestValidationError) -> Response:
    words = translations(language_of(request))
    errors = {}
    for fault in error.errors():
        name = next((str(part) for part in fault["loc"][1:2] if not isinstance(part, int)), "")
        message = _MISSING.get(name) if fault["type"] == "missing" else None
        if fault.get("ctx", {}).get("error") == TWICE:
            message = _TWICE
        errors[name] = words.gettext(message or _WRONG_KIND.get(fault["type"], _NO_JSON))
    return error_response(request, HTTPStatus.UNPROCESSABLE_ENTITY, errors)
