"""Giving a letter another recipient address: form, confirmation page, change."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, BackgroundTasks, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.requests import Request

from app.domain.status import Status
from app.errors import BeingSent, LimitExceeded, NotCorrectable
from app.store.letters import StoredLetter
from app.web.api import letter_json
from app.web.clients import networks_of
from app.web.error_pages import error_response
from app.web.form_parsing import FormValues, JsonRoute
from app.web.forms import N_, FieldError, FormError, read_recipient
from app.web.language import language_of
from app.web.limits import limit_changes, limit_misses, limit_posts, words_of
from app.web.pages import CurrentServices, page, send_notices
from app.web.schemas import LetterOut, problems

router = APIRouter(prefix="/letters/{token}/address", include_in_schema=False)
api = APIRouter(
    prefix="/api/letters/{token}/address",
    tags=["letters"],
    route_class=JsonRoute,
    responses=problems(400, 403, 404, 409, 413, 422, 429, 503),
)

_SAME = FieldError(N_("The letter already goes to this address."))
_LEAVING = (
    N_("It is being sent right now"),
    N_("The letter is being sent right now, so nothing was changed. Please try again in a minute."),
)
_TOO_LATE = (
    N_("It is too late to change the address"),
    N_("This letter has no arrivals left: it has been sent or cancelled."),
)


class AddressIn(BaseModel):
    """The new recipient. The old address is not told."""

    model_config = ConfigDict(extra="forbid")

    recipient_email: str = Field(description="As in a new letter.")
    recipient_name: str | None = Field(None, description="Left out or null: it stays as it was.")


def can_be_corrected(letter: StoredLetter) -> bool:
    """Whether a delivery is still to come and the reader has not stopped the letter."""
    waiting = (Status.SCHEDULED, Status.HELD, Status.FAILED, Status.CLAIMED)
    stopped = any(delivery.stopped for delivery in letter.deliveries)
    return not stopped and any(delivery.status in waiting for delivery in letter.deliveries)


@router.get("", name="ask for address", dependencies=[Depends(limit_misses)])
async def show_address_form(request: Request, services: CurrentServices, token: str) -> HTMLResponse:
    letter = await services.letters.find(token)
    if not can_be_corrected(letter):
        raise NotCorrectable("no delivery of this letter can be changed")
    return _form(request, token, letter, {"recipient_name": letter.draft.recipient_name})


@router.post("", name="correct address", dependencies=[Depends(limit_changes)])
async def change_address(request: Request, services: CurrentServices, token: str, typed: FormValues) -> Response:
    letter = await services.letters.find(token)
    try:
        address, name = _read(letter, typed)
        if typed.get("sure") != "yes":
            return page(request, "pages/confirm_address.html", token=token, letter=letter, address=address, name=name)
        await limit_posts(request)
        await services.corrections.correct_by_token(token, address, name, services.clock.now(), networks_of(request))
    except FormError as rejected:
        errors = rejected.words(language_of(request))
        return _form(request, token, letter, typed, HTTPStatus.UNPROCESSABLE_ENTITY, errors=errors)
    except LimitExceeded as error:
        notice = words_of(error, language_of(request))
        answer = _form(request, token, letter, typed, HTTPStatus.TOO_MANY_REQUESTS, notice=notice)
        answer.headers["Retry-After"] = str(error.seconds)
        return answer
    question = BackgroundTask(send_notices, request)
    return RedirectResponse(f"/letters/{token}", HTTPStatus.SEE_OTHER, background=question)


@api.put("", name="api correct address", summary="Correct the address", dependencies=[Depends(limit_changes)])
async def change_address_json(
    request: Request, services: CurrentServices, token: str, correction: AddressIn, background: BackgroundTasks
) -> LetterOut:
    """Send the remaining deliveries of a letter to another address. 409: none remain, or one is being sent."""
    letter = await services.letters.find(token)
    await limit_posts(request)
    address, name = _read(letter, correction.model_dump(exclude_none=True))
    await services.corrections.correct_by_token(
        token,
        address,
        None if correction.recipient_name is None else name,
        services.clock.now(),
        networks_of(request),
    )
    background.add_task(send_notices, request)
    return await letter_json(token, services)


async def refused(request: Request, error: Exception) -> Response:
    words = _LEAVING if isinstance(error, BeingSent) else _TOO_LATE
    return error_response(request, HTTPStatus.CONFLICT, words=words)


def _read(letter: StoredLetter, typed: Mapping[str, str]) -> tuple[str, str]:
    address, name = read_recipient(typed)
    if address == letter.draft.recipient_email:
        raise FormError({"recipient_email": _SAME})
    return address, name


def _form(
    request: Request,
    token: str,
    letter: StoredLetter,
    typed: Mapping[str, str],
    status: int = HTTPStatus.OK,
    *,
    errors: Mapping[str, str] | None = None,
    notice: str = "",
) -> HTMLResponse:
    return page(
        request,
        "pages/address_change.html",
        status,
        token=token,
        letter=letter,
        typed={name: typed.get(name, "") for name in ("recipient_email", "recipient_name")},
        errors=errors or {},
        notice=notice,
    )
