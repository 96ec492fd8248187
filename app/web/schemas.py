"""Request and response models of the JSON API."""

from datetime import datetime
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field

from app.domain.letter import BODY_LIMIT, NAME_LIMIT, SUBJECT_LIMIT
from app.domain.refusal import Reason
from app.domain.status import HeldReason, Occasion, Status

API = """
Letters that take their time: posted today, mailed later, and once more after that.

There are no accounts. A letter's `token` opens all that its writer may do with it, and a token in
the link of a received mail all that its reader may do: keep them like passwords. Moments are
ISO 8601 in UTC. What goes wrong is told as `application/problem+json` (after RFC 9457), in
English or Korean as `Accept-Language` asks, by field where a field is wrong. 429 and 503 carry
`Retry-After`.
"""
_A_DAY = (
    "a day in the letter's time zone (`2027-03-01`), or a time after writing in one unit (`P100D`, `P6W`, `P3M`, `P1Y`)"
)
_STATUS = (
    "scheduled: to come; claimed: on its way at this moment; sent: a mail server took it over; uncertain: handed "
    "over, and the server's answer was lost; held: waits for what `held_reason` of a delivery says; failed: refused "
    "for good, or for too long; cancelled: called off."
)


class LetterIn(BaseModel):
    """A letter to be posted. It arrives in the language of `Accept-Language`, English or Korean."""

    model_config = ConfigDict(extra="forbid")

    recipient_email: str = Field(description="One address; a domain may be internationalised.")
    body: str = Field(
        description=f"Plain text, 1 to {BODY_LIMIT} characters as people count them; "
        "CRLF becomes LF, nothing else is changed."
    )
    subject: str = Field("", description=f"At most {SUBJECT_LIMIT} characters.")
    recipient_name: str = Field("", description=f"At most {NAME_LIMIT} characters.")
    sender_name: str = Field(
        "", description=f"At most {NAME_LIMIT} characters. Nobody checks it, and the mail says so."
    )
    sender_email: str = Field(
        "", description="The writer's own address, never shown to the reader. Receipt, refusal and lost links go to it."
    )
    timezone: str = Field("", description="An IANA name such as Asia/Seoul; unset: the operator's.")
    first_arrival: str = Field(
        "",
        description=f"When it arrives, at the hour of writing: {_A_DAY}; unset or `usual`: after the operator's days.",
    )
    second_arrival: str = Field("", description="When it arrives once more: the same, or `none`.")


class ChangeIn(BaseModel):
    """The fields to change: one that is left out stays as it is, an empty one is cleared."""

    model_config = ConfigDict(extra="forbid")

    body: str = Field("", description="As in a new letter, like all of these.")
    subject: str = ""
    recipient_name: str = ""
    sender_name: str = ""
    timezone: str = ""
    first_arrival: str = Field("", description=f"Counted from the day it was written: {_A_DAY}, or `usual`.")
    second_arrival: str = Field("", description="The same, or `none`.")


class PostedOut(BaseModel):
    """A posted letter.

    Keep `token`: without it the letter cannot be found again, unless it has a `sender_email`.
    """

    token: str = Field(description="The writer's key to the letter.")
    url: str = Field(description="The letter's own page, for people.")
    send_at: datetime = Field(description="When it arrives first.")
    second_send_at: datetime | None = Field(description="When it arrives once more; null: it does not.")
    status: Status = Field(description=_STATUS)


class TextOut(BaseModel):
    """The text of a letter, while it may be read."""

    model_config = ConfigDict(from_attributes=True)

    body: str
    subject: str
    recipient_name: str
    sender_name: str


class ReplyOut(BaseModel):
    """A mail server's reply, with addresses removed."""

    model_config = ConfigDict(from_attributes=True)

    code: int = Field(description="The basic code (RFC 5321 §4.2).")
    enhanced: str = Field(description="The enhanced code (RFC 3463), or empty.")
    text: str


class DeliveryOut(BaseModel):
    """The state of one delivery."""

    model_config = ConfigDict(from_attributes=True)

    occasion: Occasion
    status: Status = Field(description=_STATUS)
    promised_at: datetime = Field(description="What the writer was promised.")
    due_at: datetime = Field(description="When it is tried next, or was: it moves with each retry.")
    sent_at: datetime | None
    held_reason: HeldReason | None
    attempts: int = Field(description="Tries that were charged to it.")
    last_reply: ReplyOut | None = Field(description="What the mail server said last, if it said anything.")
    reason: Reason | None = Field(description="What the last refusal is about, where the last try was refused.")


class LetterOut(PostedOut):
    """Where a letter is. Until `sealed_at` it can be read and changed."""

    recipient_email: str
    timezone: str
    written_at: datetime
    sealed_at: datetime | None
    text: TextOut | None = Field(description="Null while it is sealed: from `sealed_at` until it has arrived.")
    deliveries: list[DeliveryOut]


class LookOut(BaseModel):
    """A letter as its reader will see it the first time."""

    sender: str
    subject: str
    text: str = Field(description="The mail's plain part.")
    html: str = Field(description="The mail's HTML part.")
    send_at: datetime
    second_send_at: datetime | None


class ProblemOut(BaseModel):
    """After RFC 9457."""

    status: int
    title: str
    detail: str
    errors: dict[str, str] = Field(
        description="What is wrong with each field, in words; empty if it is no field's fault."
    )


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return the OpenAPI responses of these statuses."""
    content = {"application/problem+json": {"schema": ProblemOut.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
