"""The list of deliveries on the desk. A page costs what it shows, not what is stored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise.expressions import Subquery
from tortoise.functions import Max

from app.domain.address import masked
from app.domain.selection import ENDED, Selection
from app.domain.status import HeldReason, Occasion, Outcome, Status
from app.errors import KeyMissing
from app.store.models import Attempt, Delivery
from app.store.selecting import Place, find, read_place
from app.store.vault import Vault

PAGE = 50
"""Rows of a page."""

_CURSOR = re.compile(r"(after|before)-(.+)")


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery as the list shows it.

    `recipient` is masked: empty where the letter has been purged, None where no key opens it.
    `last_error` is what came of the newest try, or empty if that was no error.
    """

    id: int
    occasion: Occasion
    status: Status
    held_reason: HeldReason | None
    promised_at: datetime
    due_at: datetime
    status_at: datetime
    recipient: str | None
    attempts: int
    last_error: str

    @property
    def moment(self) -> datetime:
        """Its place in time: when it is due, or when it ended."""
        return self.status_at if self.status in ENDED else self.due_at


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the cursors of the pages beside them; an empty one: there is none."""

    rows: tuple[Row, ...]
    previous: str
    next: str


async def list_deliveries(
    vault: Vault, selection: Selection, *, falling: bool, cursor: str = "", limit: int = PAGE
) -> Page:
    """Return a page of what is meant, the latest in time first if `falling`, else the earliest.

    A cursor that is none of ours, or leads where no rows are left, means the first page.
    """
    backwards, place = _read(cursor)
    places = await find(selection, place, limit + 1, falling=falling != backwards)
    shown, more = places[:limit], len(places) > limit
    if place and (not places or (backwards and not more)):
        return await list_deliveries(vault, selection, falling=falling, limit=limit)
    if backwards:
        shown.reverse()
    earlier, later = (more, True) if backwards else (place is not None, more)
    return Page(
        rows=await rows_of(vault, [place.id for place in shown]),
        previous=f"before-{shown[0]}" if earlier else "",
        next=f"after-{shown[-1]}" if later else "",
    )


def _read(cursor: str) -> tuple[bool, Place | None]:
    parts = _CURSOR.fullmatch(cursor)
    place = read_place(parts[2]) if parts else None
    return (place is not None and parts is not None and parts[1] == "before"), place


async def rows_of(vault: Vault, ids: Sequence[int]) -> tuple[Row, ...]:
    """Return these deliveries as the list shows them, in this order."""
    if not ids:
        return ()
    found = await Delivery.filter(id__in=ids).values(
        "id",
        "letter_id",
        "occasion",
        "status",
        "held_reason",
        "promised_at",
        "due_at",
        "status_at",
        "attempts",
        revision="letter__revision",
        recipient="letter__recipient_email_sealed",
        sender="letter__sender_email_sealed",
    )
    by_id = {values["id"]: values for values in found}
    errors = await _last_errors(ids)
    return tuple(_row(vault, by_id[key], errors.get(key, "")) for key in ids)


async def _last_errors(ids: Sequence[int]) -> dict[int, str]:
    newest = Attempt.filter(delivery_id__in=ids).group_by("delivery_id").annotate(newest=Max("id")).values("newest")
    tries = await Attempt.filter(id__in=Subquery(newest)).exclude(outcome=Outcome.ACCEPTED).values()
    return {values["delivery_id"]: _error(values) for values in tries}


def _row(vault: Vault, values: dict[str, Any], last_error: str) -> Row:
    return Row(
        id=values["id"],
        occasion=values["occasion"],
        status=values["status"],
        held_reason=values["held_reason"],
        promised_at=values["promised_at"],
        due_at=values["due_at"],
        status_at=values["status_at"],
        recipient=_recipient(vault, values),
        attempts=values["attempts"],
        last_error=last_error,
    )


def _recipient(vault: Vault, values: dict[str, Any]) -> str | None:
    """A notice goes to the letter's writer, if we know an address."""
    letter_id, revision = values["letter_id"], values["revision"]
    writer = masked_address(vault, letter_id, revision, "sender_email", values["sender"])
    reader = masked_address(vault, letter_id, revision, "recipient_email", values["recipient"])
    return reader if writer == "" or not values["occasion"].is_notice else writer


def masked_address(vault: Vault, letter_id: UUID, revision: int, column: str, sealed: bytes | None) -> str | None:
    """Return an address of a letter, masked: empty where it is kept no longer, None where no key opens it."""
    try:
        address = vault.open_column(letter_id, revision, column, sealed)
    except KeyMissing:
        return None
    return masked(address) if address else ""


def _error(values: dict[str, Any]) -> str:
    said = (str(values["code"] or ""), values["enhanced"], values["answer"])
    return " ".join(part for part in said if part) or str(values["outcome"])
