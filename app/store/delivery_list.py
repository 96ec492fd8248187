"""The admin list of deliveries. A page's cost depends on its rows, not on the size of the table."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.address import masked
from app.domain.delivery_filter import ENDED, DeliveryFilter
from app.domain.refusal import Reason
from app.domain.status import HeldReason, Occasion, Status
from app.errors import KeyMissing
from app.store.cipher import LetterCipher
from app.store.database import as_moment, connection
from app.store.delivery_query import Cursor, find, read_cursor
from app.store.sql import REPLY_OR_RESULT, as_ids

PAGE = 50

# The newest attempt is found by the index that begins with delivery_id.
_ROWS_OF = """
    SELECT deliveries.id, letter_id, notice, occasion, status, held_reason, promised_at, due_at, status_at, attempts,
           revision, recipient_email_sealed AS recipient, sender_email_sealed AS sender,
           (SELECT CASE outcome WHEN 'accepted' THEN '' ELSE {said} END FROM attempts
            WHERE delivery_id = deliveries.id ORDER BY attempts.id DESC LIMIT 1) AS last_error,
           (SELECT reason FROM attempts WHERE delivery_id = deliveries.id ORDER BY attempts.id DESC LIMIT 1) AS reason
    FROM deliveries JOIN letters ON letters.id = letter_id
    WHERE deliveries.id {among}
"""
_AMONG = {"sqlite": "IN (SELECT value FROM json_each(?))", "postgres": "= ANY ($1::bigint[])"}
_CURSOR = re.compile(r"(after|before)-(.+)")


@dataclass(frozen=True, slots=True)
class ListRow:
    """`recipient` is masked: empty where the letter has been purged, None where no key opens it.

    `last_error` is the reply to the newest attempt, empty where it was accepted; `reason` is its judged reason.
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
    reason: Reason | None

    @property
    def moment(self) -> datetime:
        return self.status_at if self.status in ENDED else self.due_at


@dataclass(frozen=True, slots=True)
class ListPage:
    """`previous` and `next` are cursors, empty where there is no such page."""

    rows: tuple[ListRow, ...]
    previous: str
    next: str


async def list_deliveries(
    cipher: LetterCipher, selection: DeliveryFilter, *, descending: bool, cursor: str = "", limit: int = PAGE
) -> ListPage:
    """Return a page of a selection, sorted by `moment`.

    An invalid cursor, or one with no rows beyond, means the first page.
    """
    backwards, start = _read(cursor)
    cursors = await find(selection, start, limit + 1, descending=descending != backwards)
    shown, more = cursors[:limit], len(cursors) > limit
    if start and (not cursors or (backwards and not more)):
        return await list_deliveries(cipher, selection, descending=descending, limit=limit)
    if backwards:
        shown.reverse()
    earlier, later = (more, True) if backwards else (start is not None, more)
    return ListPage(
        rows=await rows_of(cipher, [each.id for each in shown]),
        previous=f"before-{shown[0]}" if earlier else "",
        next=f"after-{shown[-1]}" if later else "",
    )


def _read(text: str) -> tuple[bool, Cursor | None]:
    parts = _CURSOR.fullmatch(text)
    position = read_cursor(parts[2]) if parts else None
    return (position is not None and parts is not None and parts[1] == "before"), position


async def rows_of(cipher: LetterCipher, ids: Sequence[int]) -> tuple[ListRow, ...]:
    if not ids:
        return ()
    sql = _ROWS_OF.format(said=REPLY_OR_RESULT, among=_AMONG[connection().capabilities.dialect])
    rows = await connection().execute_query_dict(sql, [as_ids(ids)])
    by_id = {values["id"]: _row(cipher, values) for values in rows}
    return tuple(by_id[key] for key in ids)


def _row(cipher: LetterCipher, values: dict[str, Any]) -> ListRow:
    return ListRow(
        id=values["id"],
        occasion=Occasion(values["occasion"]),
        status=Status(values["status"]),
        held_reason=HeldReason(values["held_reason"]) if values["held_reason"] else None,
        promised_at=as_moment(values["promised_at"]),
        due_at=as_moment(values["due_at"]),
        status_at=as_moment(values["status_at"]),
        recipient=_recipient(cipher, values),
        attempts=values["attempts"],
        last_error=values["last_error"] or "",
        reason=Reason(values["reason"]) if values["reason"] else None,
    )


def _recipient(cipher: LetterCipher, values: dict[str, Any]) -> str | None:
    """A notice goes to the letter's writer, if their address is known."""
    letter = values["letter_id"], values["revision"]
    if values["notice"] and (writer := masked_address(cipher, *letter, "sender_email", values["sender"])) != "":
        return writer
    return masked_address(cipher, *letter, "recipient_email", values["recipient"])


def masked_address(
    cipher: LetterCipher, letter_id: UUID | str, revision: int, column: str, sealed: bytes | None
) -> str | None:
    """Return an address, masked: empty where it has been purged, None where no key opens it."""
    try:
        address = cipher.open_column(letter_id, revision, column, sealed)
    except KeyMissing:
        return None
    return masked(address) if address else ""
