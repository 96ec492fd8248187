"""The timeline on a letter's page: pure."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from app.domain.status import HeldReason, Status
from app.store.letters import DeliveryState, StoredLetter

_DAY = {"en": "d MMM y", "ko": "y. M. d."}
_MINUTE = {"en": "d MMM, HH:mm", "ko": "M. d. HH:mm"}
_STATES = {
    Status.SCHEDULED: "ahead",
    Status.CLAIMED: "now",
    Status.SENT: "done",
    Status.UNCERTAIN: "trouble",
    Status.HELD: "trouble",
    Status.FAILED: "trouble",
    Status.CANCELLED: "off",
}


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """`state` is done, now, ahead, trouble or off; `status` that of a delivery."""

    kind: str
    state: str
    day: str
    status: Status | None = None


def timeline(letter: StoredLetter, now: datetime, language: str) -> list[TimelineStep]:
    """Dates are in the writer's time zone."""

    def said(moment: datetime, patterns: dict[str, str]) -> str:
        return format_datetime(moment, patterns[language], tzinfo=ZoneInfo(letter.draft.timezone), locale=language)

    way = [TimelineStep("written", "done", said(letter.written_at, _MINUTE))]
    if letter.is_unconfirmed:
        way.append(TimelineStep("confirmation", "now", ""))
    elif letter.confirmed_at:
        way.append(TimelineStep("confirmation", "done", said(letter.confirmed_at, _MINUTE)))
    if letter.sealed_at and letter.status is not Status.CANCELLED:
        way.append(TimelineStep("sealing", "now" if letter.is_open(now) else "done", said(letter.sealed_at, _MINUTE)))
    for delivery in letter.deliveries:
        state = _state(delivery)
        day = said(delivery.sent_at or delivery.promised_at, _DAY)
        way.append(TimelineStep(delivery.occasion, state, day, delivery.status))
    return way


def _state(delivery: DeliveryState) -> str:
    if delivery.status is Status.SCHEDULED and delivery.attempts > 0:
        return "trouble"  # it was deferred
    return "ahead" if delivery.held_reason is HeldReason.UNCONFIRMED else _STATES[delivery.status]
