"""The same as the pages do, in JSON."""

from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter, BackgroundTasks, Depends, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.domain.letter import BODY_LIMIT, NAME_LIMIT, SUBJECT_LIMIT
from app.domain.status import HeldReason, Occasion, Status
from app.rendering import translations
from app.store.letters import DeliveryState
from app.web.changing import change, typed_of
from app.web.choosing import read_letter
from app.web.forms import MISSING_ADDRESS, MISSING_BODY, N_, Rejected
from app.web.language import Language, language_of
from app.web.limits import may_change, may_look, may_post
from app.web.pages import OpenMailbox, wake_courier
from app.web.problems import problem
from app.wiring import Mailbox

_MISSING = {"recipient_email": MISSING_ADDRESS.message, "body": MISSING_BODY.message}
_WRONG_KIND = {
    "missing": N_("This is missing."),
    "extra_forbidden": N_("There is no such field."),
    "string_type": N_("This must be text."),
    "string_unicode": N_("This holds half a character (a lone surrogate)."),
}
_A_DAY = "A day in that time zone (`2027-03-01`), or a time after writing in one unit (`P100D`, `P6W`, `P3M`, `P1Y`)"
_NO_JSON = N_("This is no JSON object.")


class LetterIn(BaseModel):
    """A letter to be posted; its language is that of Accept-Language."""

    model_config = ConfigDict(extra="forbid")

    recipient_email: str = Field(description="One address; a domain may be internationalised.")
    body: str = Field(
        description=f"Plain text, 1 to {BODY_LIMIT} characters; CRLF becomes LF, nothing else is changed."
    )
    subject: str = Field("", description=f"At most {SUBJECT_LIMIT} characters.")
    recipient_name: str = Field("", description=f"At most {NAME_LIMIT} characters.")
    sender_name: str = Field("", description=f"At most {NAME_LIMIT} characters.")
    sender_email: str = Field("", description="A receipt goes here, and only here.")
    timezone: str = Field("", description="An IANA name such as Asia/Seoul; unset: the operator's.")
    first_arrival: str = Field("", description=f"{_A_DAY}; unset: after the operator's days.")
    second_arrival: str = Field("", description=f"{_A_DAY}, or `none`; unset: after the operator's days.")


class PostedOut(BaseModel):
    """Keep `token`: it is the only way back to the letter."""

    token: str
    url: str
    send_at: datetime
    second_send_at: datetime | None
    status: Status


class ChangeIn(BaseModel):
    """What of a letter is to be another; a field that is left out stays as it was."""

    model_config = ConfigDict(extra="forbid")

    body: str = Field("", description="As in a new letter, like all of these.")
    subject: str = ""
    recipient_name: str = ""
    sender_name: str = ""
    timezone: str = ""
    first_arrival: str = Field("", description=f"{_A_DAY}, after it was written; or `usual`.")
    second_arrival: str = Field("", description="The same, or `none`.")


class TextOut(BaseModel):
    """What a letter says, while it may be read."""

    model_config = ConfigDict(from_attributes=True)

    body: str
    subject: str
    recipient_name: str
    sender_name: str


class DeliveryOut(BaseModel):
    """Where one arrival stands. `due_at` moves with each retry, `promised_at` never does."""

    model_config = ConfigDict(from_attributes=True)

    occasion: Occasion
    status: Status
    promised_at: datetime
    due_at: datetime
    sent_at: datetime | None
    held_reason: HeldReason | None
    attempts: int


class LetterOut(PostedOut):
    """Until `sealed_at` it can be read and changed; `text` is null from then until it has arrived."""

    sealed_at: datetime | None
    text: TextOut | None
    deliveries: list[DeliveryOut]


class ProblemOut(BaseModel):
    """What went wrong (after RFC 9457); `errors` is by field."""

    status: int
    title: str
    detail: str
    errors: dict[str, str]


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return what the API's document says of these statuses."""
    content = {"application/problem+json": {"schema": ProblemOut.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


router = APIRouter(prefix="/api/letters", tags=["letters"], responses=problems(400, 403, 413, 429, 503))


@router.post("", name="api post letter", status_code=HTTPStatus.CREATED, responses=problems(422))
async def post(
    letter: LetterIn,
    mailbox: OpenMailbox,
    language: Language,
    request: Request,
    response: Response,
    background: BackgroundTasks,
) -> PostedOut:
    """Post a letter."""
    now = mailbox.clock.now()
    draft, promise = read_letter(letter.model_dump(), mailbox.settings, language=language, written_at=now, now=now)
    may_post(request)
    posted = await mailbox.letters.post(draft, now, promise)
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


@router.get("/{token}", name="api letter", responses=problems(404), dependencies=[Depends(may_look)])
async def show(token: str, mailbox: OpenMailbox) -> LetterOut:
    """Say where a letter is, and what it says as long as that may be read."""
    return await found(token, mailbox)


@router.patch(
    "/{token}",
    name="api change letter",
    responses=problems(404, 409, 422),
    dependencies=[Depends(may_change)],
)
async def patch(token: str, changed: ChangeIn, mailbox: OpenMailbox) -> LetterOut:
    """Change a letter that is not sealed yet; 409 if it is, and nothing has changed then."""
    letter = await mailbox.letters.find(token)
    typed = typed_of(letter, mailbox.settings) | changed.model_dump(exclude_unset=True)
    await change(mailbox, token, letter, typed)
    return await found(token, mailbox)


async def found(token: str, mailbox: Mailbox) -> LetterOut:
    """Return a letter as the API shows it. Raises LetterNotFound."""
    letter = await mailbox.letters.find(token)
    return LetterOut(
        token=token,
        url=f"{mailbox.settings.origin}/letters/{token}",
        send_at=letter.send_at,
        second_send_at=letter.second_send_at,
        status=letter.status,
        sealed_at=letter.sealed_at,
        text=TextOut.model_validate(letter.draft) if letter.is_readable(mailbox.clock.now()) else None,
        deliveries=[_delivery(state) for state in letter.deliveries],
    )


@router.delete(
    "/{token}",
    name="api withdraw",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404, 409),
    dependencies=[Depends(may_change)],
)
async def withdraw(token: str, mailbox: OpenMailbox) -> None:
    """Cancel what has not left yet; twice is the same as once."""
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
        errors[name] = words.gettext(message or _WRONG_KIND.get(fault["type"], _NO_JSON))
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, errors)
