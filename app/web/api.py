"""The same as the pages do, in JSON."""

from http import HTTPStatus

from fastapi import APIRouter, BackgroundTasks, Depends, Response
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

from app.rendering import translations
from app.store.letters import DeliveryState
from app.web.bodies import TWICE, JsonRoute
from app.web.changing import change, typed_of
from app.web.choosing import read_letter
from app.web.clients import networks_of
from app.web.forms import MISSING_ADDRESS, MISSING_BODY, N_, Rejected
from app.web.language import Language, language_of
from app.web.limits import may_change, may_look, may_post
from app.web.pages import OpenMailbox, wake_courier
from app.web.problems import problem
from app.web.schemas import ChangeIn, DeliveryOut, LetterIn, LetterOut, PostedOut, TextOut, problems
from app.wiring import Mailbox

_MISSING = {"recipient_email": MISSING_ADDRESS.message, "body": MISSING_BODY.message}
_WRONG_KIND = {
    "missing": N_("This is missing."),
    "extra_forbidden": N_("There is no such field."),
    "string_type": N_("This must be text."),
    "string_unicode": N_("This holds half a character (a lone surrogate)."),
}
_NO_JSON = N_("This is no JSON object.")
_TWICE = N_("A name stands twice in this JSON object. Each may stand once.")


router = APIRouter(
    prefix="/api/letters", tags=["letters"], route_class=JsonRoute, responses=problems(400, 403, 413, 422, 429, 503)
)


@router.post(
    "",
    name="api post letter",
    summary="Post a letter",
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(may_post)],
)
async def post(
    letter: LetterIn,
    mailbox: OpenMailbox,
    language: Language,
    request: Request,
    response: Response,
    background: BackgroundTasks,
) -> PostedOut:
    """Seal a letter until its day, or hold it until it is confirmed where the operator requires that."""
    now = mailbox.clock.now()
    draft, promise = read_letter(letter.model_dump(), mailbox.settings, language=language, written_at=now, now=now)
    posted = await mailbox.post(draft, now, promise, networks_of(request))
    url = f"{mailbox.settings.origin}/letters/{posted.token}"
    response.headers["Location"] = f"/api/letters/{posted.token}"
    if posted.notice:
        background.add_task(wake_courier, request)
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
    dependencies=[Depends(may_look)],
)
async def show(token: str, mailbox: OpenMailbox) -> LetterOut:
    """Say where a letter is, and what it says as long as that may be read."""
    return await found(token, mailbox)


@router.patch(
    "/{token}",
    name="api change letter",
    summary="Change a letter",
    responses=problems(404, 409),
    dependencies=[Depends(may_change)],
)
async def patch(token: str, changed: ChangeIn, mailbox: OpenMailbox) -> LetterOut:
    """Change a letter that is not sealed yet; 409 if it is, and nothing has changed then.

    Its reader's address is another matter: see `address`.
    """
    letter = await mailbox.letters.find(token)
    typed = typed_of(letter, mailbox.settings) | changed.model_dump(exclude_unset=True)
    await change(mailbox, token, letter, typed)
    return await found(token, mailbox)


async def found(token: str, mailbox: Mailbox) -> LetterOut:
    """Return a letter as the API shows it. Raises LetterNotFound."""
    letter = await mailbox.letters.find(token, mailbox.clock.now())
    return LetterOut(
        token=token,
        url=f"{mailbox.settings.origin}/letters/{token}",
        send_at=letter.send_at,
        second_send_at=letter.second_send_at,
        status=letter.status,
        recipient_email=letter.draft.recipient_email,
        timezone=letter.draft.timezone,
        written_at=letter.written_at,
        sealed_at=letter.sealed_at,
        text=TextOut.model_validate(letter.draft) if letter.is_readable(mailbox.clock.now()) else None,
        deliveries=[_delivery(state) for state in letter.deliveries],
    )


@router.delete(
    "/{token}",
    name="api withdraw",
    summary="Call a letter back",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404, 409),
    dependencies=[Depends(may_change)],
)
async def withdraw(token: str, mailbox: OpenMailbox) -> None:
    """Cancel what has not left yet; twice is the same as once. 409 where all of it has left, or is leaving just now."""
    await mailbox.letters.withdraw(token, mailbox.clock.now())


def _delivery(state: DeliveryState) -> DeliveryOut:
    return DeliveryOut.model_validate(state)


async def rejected(request: Request, error: Rejected) -> Response:
    """Answer 422 for a letter that read_draft refused."""
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, error.words(language_of(request)))


async def wrong_kind(request: Request, error: RequestValidationError) -> Response:
    """Answer 422 for a body that is no letter at all."""
    words = translations(language_of(request))
    errors = {}
    for fault in error.errors():
        name = next((str(part) for part in fault["loc"][1:2] if not isinstance(part, int)), "")
        message = _MISSING.get(name) if fault["type"] == "missing" else None
        if fault.get("ctx", {}).get("error") == TWICE:
            message = _TWICE
        errors[name] = words.gettext(message or _WRONG_KIND.get(fault["type"], _NO_JSON))
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, errors)
