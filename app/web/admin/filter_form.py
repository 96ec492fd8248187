"""The filter form: from its fields to a filter, and back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from app.domain.delivery_filter import COMING, ENDED, DeliveryFilter, FilterError, InvalidFilter, read_filter
from app.domain.status import HeldReason, Occasion, Status
from app.store.cipher import LetterCipher
from app.web.forms import N_, FieldError, read_address

PRESETS = {"": (), "coming": COMING, "ended": ENDED, "waiting": (Status.HELD, Status.UNCERTAIN, Status.FAILED)}
"""The states that are most often looked at together."""

_WORDS = {
    FilterError.UNKNOWN: FieldError(N_("This is not one of the choices. Please choose again.")),
    FilterError.NO_TIME: FieldError(N_("This is not a valid time. Example: 2026-01-31 18:30.")),
    FilterError.ENDS_FIRST: FieldError(N_("The end must be later than the start.")),
    FilterError.NO_MESSAGE_ID: FieldError(N_("This is not a Message-ID. Example: <abc@example.com>.")),
}
_NOBODY = FieldError(N_("This is neither an address nor a domain. Examples: name@example.com, example.com."))
_FIELDS = ("since", "until", "whom", "to", "message_id", "order")
_ORDERS = ("earliest", "latest")

_Kind = TypeVar("_Kind", bound=StrEnum)
Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FilterForm:
    """`selection` is None where a field is wrong; `faults` are the errors by field."""

    typed: dict[str, str]
    states: frozenset[str]
    occasions: frozenset[str]
    reasons: frozenset[str]
    selection: DeliveryFilter | None
    faults: dict[str, FieldError]

    @property
    def descending(self) -> bool:
        """Whether the latest come first: as chosen, else where all have ended."""
        order, selection = self.typed["order"], self.selection
        return order == "latest" if order else selection is not None and selection.has_ended

    @property
    def preset(self) -> str | None:
        """The name among PRESETS of the selected states."""
        return next((name for name, states in PRESETS.items() if self.states == set(states)), None)

    def query(self, **changed: Iterable[str]) -> str:
        """Return the query of this list, with some names set to other values or removed."""
        pairs = self.selection.query() if self.selection else []
        if self.typed["order"]:
            pairs.append(("order", self.typed["order"]))
        kept = [pair for pair in pairs if pair[0] not in changed]
        return urlencode([*kept, *((name, value) for name, values in changed.items() for value in values)])


def filter_from_query(query: Pairs, zone: ZoneInfo) -> FilterForm:
    pairs = list(query)
    try:
        selection = read_filter(pairs, zone)
    except InvalidFilter as refused:
        return _refused(pairs, {name: _WORDS[flaw] for name, flaw in refused.flaws.items()})
    written = {
        "since": _local(selection.since, zone),
        "until": _local(selection.until, zone),
        "to": dict(selection.query()).get("to", ""),
        "message_id": selection.message_id,
        "order": order if (order := dict(pairs).get("order", "")) in _ORDERS else "",
    }
    return FilterForm(
        typed=dict.fromkeys(_FIELDS, "") | written,
        states=_narrowed(selection.states, Status),
        occasions=_narrowed(selection.occasions, Occasion),
        reasons=_narrowed(selection.reasons, HeldReason),
        selection=selection,
        faults={},
    )


def filter_from_form(form: Pairs, zone: ZoneInfo, cipher: LetterCipher) -> FilterForm:
    """An address is replaced by its HMAC."""
    pairs = [(name, value.strip()) for name, value in form]
    values = dict(pairs)
    asked = [(name, _in_brackets(value) if name == "message_id" else value) for name, value in pairs]
    faults: dict[str, FieldError] = {}
    if whom := values.get("whom"):
        to = _to(whom, cipher)
        asked = [pair for pair in asked if pair[0] != "to"]
        if to:
            asked.append(("to", to))
        else:
            faults["whom"] = _NOBODY
    sought = filter_from_query(asked, zone)
    return _refused(pairs, sought.faults | faults) if faults or sought.faults else sought


def _refused(pairs: list[tuple[str, str]], faults: dict[str, FieldError]) -> FilterForm:
    values = dict(pairs)
    return FilterForm(
        typed={name: values.get(name, "") for name in _FIELDS},
        states=frozenset(value for name, value in pairs if name == "state"),
        occasions=frozenset(value for name, value in pairs if name == "occasion"),
        reasons=frozenset(value for name, value in pairs if name == "reason"),
        selection=None,
        faults=faults,
    )


def _narrowed(chosen: frozenset[_Kind], every: type[_Kind]) -> frozenset[str]:
    """Return the ticked values; none means all."""
    return frozenset(chosen) if len(chosen) < len(every) else frozenset()


def _local(moment: datetime | None, zone: ZoneInfo) -> str:
    """Return a moment in the format of the form's field."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0).isoformat(timespec="minutes") if moment else ""


def _to(whom: str, cipher: LetterCipher) -> str:
    """Return the HMAC of an address or of a domain, with or without its @; empty where it is neither."""
    local, _, domain = whom.rpartition("@")
    address = read_address(whom if local else f"postmaster@{domain}")
    if isinstance(address, FieldError):
        return ""
    return f"address-{cipher.address_hmac(address)}" if local else f"domain-{cipher.domain_hmac(address)}"


def _in_brackets(message_id: str) -> str:
    return f"<{message_id}>" if message_id and not message_id.startswith("<") else message_id
