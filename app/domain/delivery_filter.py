"""Filters for deliveries, used by the list, the export and bulk actions: pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from app.domain.status import HeldReason, Occasion, Status

COMING = (Status.SCHEDULED, Status.CLAIMED, Status.HELD, Status.UNCERTAIN)
ENDED = (Status.SENT, Status.FAILED, Status.CANCELLED)

_FIRST_YEAR, _LAST_YEAR = 1970, 9998  # so that a day more or less, in any zone, is still a date
_TO = re.compile(r"(address|domain)-([0-9a-f]{32})")
_MESSAGE_ID = re.compile(r"<[^<>\s@\x00-\x1f\x7f-\x9f]{1,120}@[^<>\s@\x00-\x1f\x7f-\x9f]{1,120}>")

_Kind = TypeVar("_Kind", bound=StrEnum)


class FilterError(StrEnum):
    UNKNOWN = "unknown"
    NO_TIME = "no time"
    ENDS_FIRST = "ends first"
    NO_MESSAGE_ID = "no message id"


class InvalidFilter(ValueError):
    """`flaws` are the errors by query name."""

    def __init__(self, flaws: Mapping[str, FilterError]) -> None:
        super().__init__(", ".join(flaws))
        self.flaws = flaws


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """A delivery matches if every part matches; a part that is not given matches all.

    The *moment* of a delivery is when it is due, or once it has ended, when it ended. `since` is
    inclusive, `until` exclusive. `reasons` apply to held deliveries only. At most one HMAC is given,
    of `LetterCipher.address_hmac` or `domain_hmac`: of the addressee, which for a notice is the writer
    if their address is known.
    """

    states: frozenset[Status] = frozenset(Status)
    occasions: frozenset[Occasion] = frozenset(Occasion)
    reasons: frozenset[HeldReason] = frozenset(HeldReason)
    since: datetime | None = None
    until: datetime | None = None
    address_hmac: str = ""
    domain_hmac: str = ""
    message_id: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether only ended deliveries match; these are listed newest first."""
        return self.states <= set(ENDED)

    def query(self) -> list[tuple[str, str]]:
        """The inverse of `read_filter`; holds no address."""
        every, held_for_any = set(Status), self.reasons == set(HeldReason)
        hmacs = (("address", self.address_hmac), ("domain", self.domain_hmac))
        return [
            *(
                ("state", each.value)
                for each in Status
                if each in self.states and (self.states < every or not held_for_any)
            ),
            *(("occasion", each.value) for each in Occasion if each in self.occasions < set(Occasion)),
            *(("reason", each.value) for each in HeldReason if each in self.reasons < set(HeldReason)),
            *((name, _written(moment)) for name, moment in (("since", self.since), ("until", self.until)) if moment),
            *(("to", f"{kind}-{address_hmac}") for kind, address_hmac in hmacs if address_hmac),
            *([("message_id", self.message_id)] if self.message_id else []),
        ]

    def __str__(self) -> str:
        return urlencode(self.query())


def read_filter(query: Iterable[tuple[str, str]], zone: ZoneInfo) -> DeliveryFilter:
    """Parse a query; a time without an offset is in `zone`. Other names are ignored.

    Reasons without a state select held deliveries. Raises InvalidFilter.
    """
    pairs = [(name, value.strip()) for name, value in query if value.strip()]
    last, flaws = dict(pairs), dict[str, FilterError]()
    reasons = frozenset(_read(HeldReason, "reason", pairs, flaws))
    states = frozenset(_read(Status, "state", pairs, flaws)) or (
        frozenset({Status.HELD}) if reasons else frozenset(Status)
    )
    occasions = frozenset(_read(Occasion, "occasion", pairs, flaws)) or frozenset(Occasion)
    since, until = (_moment(name, last.get(name, ""), zone, flaws) for name in ("since", "until"))
    if since and until and until <= since:
        flaws["until"] = FilterError.ENDS_FIRST
    to = _TO.fullmatch(last.get("to", ""))
    if "to" in last and not to:
        flaws["to"] = FilterError.UNKNOWN
    message_id = last.get("message_id", "")
    if message_id and not _MESSAGE_ID.fullmatch(message_id):
        flaws["message_id"] = FilterError.NO_MESSAGE_ID
    if flaws:
        raise InvalidFilter(flaws)
    hmacs = {f"{to[1]}_hmac": to[2]} if to else {}
    return DeliveryFilter(
        states, occasions, reasons or frozenset(HeldReason), since, until, message_id=message_id, **hmacs
    )


def _read(kind: type[_Kind], name: str, pairs: list[tuple[str, str]], flaws: dict[str, FilterError]) -> list[_Kind]:
    asked = [value for key, value in pairs if key == name]
    known = [each for each in kind if each in asked]
    if len(known) < len(set(asked)):
        flaws[name] = FilterError.UNKNOWN
    return known


def _moment(name: str, text: str, zone: ZoneInfo, flaws: dict[str, FilterError]) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - is refused below
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        flaws[name] = FilterError.NO_TIME
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="auto").removesuffix(":00") + "Z"
