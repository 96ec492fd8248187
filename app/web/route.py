"""A letter's way from stop to stop, and what a mail server meant, for the postmark page: pure."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from app.domain.retry import Reply
from app.domain.status import HeldReason, Status
from app.rendering import translations
from app.store.letters import DeliveryState, StoredLetter
from app.web.forms import N_

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
class Stop:
    """One station of a letter. `state` is done, now, ahead, trouble or off; `status` that of a delivery."""

    kind: str
    state: str
    day: str
    status: Status | None = None


def stops(letter: StoredLetter, now: datetime, language: str) -> list[Stop]:
    """Return where a letter has been, is, and will be, with dates as its writer's clocks say them."""

    def said(moment: datetime, patterns: dict[str, str]) -> str:
        return format_datetime(moment, patterns[language], tzinfo=ZoneInfo(letter.draft.timezone), locale=language)

    way = [Stop("written", "done", said(letter.written_at, _MINUTE))]
    if letter.is_unconfirmed:
        way.append(Stop("confirmation", "now", ""))
    elif letter.confirmed_at:
        way.append(Stop("confirmation", "done", said(letter.confirmed_at, _MINUTE)))
    if letter.sealed_at and letter.status is not Status.CANCELLED:
        way.append(Stop("sealing", "now" if letter.is_open(now) else "done", said(letter.sealed_at, _MINUTE)))
    for delivery in letter.deliveries:
        state = _state(delivery)
        day = said(delivery.sent_at or delivery.promised_at, _DAY)
        way.append(Stop(delivery.occasion, state, day, delivery.status))
    return way


def _state(delivery: DeliveryState) -> str:
    if delivery.status is Status.SCHEDULED and delivery.attempts > 0:
        return "trouble"  # it was deferred
    return "ahead" if delivery.held_reason is HeldReason.UNCONFIRMED else _STATES[delivery.status]


_MEANINGS = (
    (("1.1", "1.2", "1.3", "1.6", "1.10"), N_("The mail server says that there is no such address.")),
    (("2.1",), N_("The mail server says that this mailbox is closed.")),
    (("2.2",), N_("The mail server says that the mailbox is full.")),
    (("2.3", "3.4"), N_("The mail server says that the letter is too long for it.")),
    (("7",), N_("The mail server says that its rules keep it from taking our mail.")),
)
_BUSY = N_("The mail server says that it cannot take it just now.")
_REFUSED = N_("The mail server did not want it.")
_NO_ADDRESS = (550, 551, 553, 556)


def meaning(reply: Reply, language: str) -> str:
    """Return in plain words what a server's refusal means: by its enhanced code (RFC 3463), else by the basic one."""
    subject = reply.enhanced.partition(".")[2]
    for codes, words in _MEANINGS:
        if subject in codes or subject.partition(".")[0] in codes:
            return translations(language).gettext(words)
    if not subject and reply.code in _NO_ADDRESS:
        return translations(language).gettext(_MEANINGS[0][1])
    return translations(language).gettext(_BUSY if reply.code < 500 else _REFUSED)
