"""The list as a table for a spreadsheet: written while it is read, so that a million rows need no memory."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response, StreamingResponse
from starlette.requests import Request

from app.domain.actions import Deed
from app.domain.selection import Selection
from app.store.listing import Row, rows_of
from app.store.selecting import Place, find
from app.store.trail import record
from app.store.vault import Vault
from app.web.desk.finding import asked_for
from app.web.desk.frame import SignedIn, operator_of
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin", include_in_schema=False)

_BATCH = 200  # whose lines take 5 ms, for as long as which nobody else is answered
_SUBJECT_LIMIT = 255
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"  # by which Excel knows UTF-8
_COLUMNS = (
    "id",
    "status",
    "held_reason",
    "occasion",
    "promised_at",
    "due_at",
    "status_at",
    "recipient",
    "attempts",
    "last_error",
)
# A cell that begins so may be run as a formula, or its first sign be swallowed
# (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@router.get("/deliveries.csv", name="admin export")
async def export(request: Request, account: SignedIn, mailbox: OpenMailbox) -> Response:
    sought = asked_for(request.query_params.multi_items(), mailbox.settings.zone)
    if sought.selection is None:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY)
    now = mailbox.clock.now()
    subject = str(sought.selection)[:_SUBJECT_LIMIT]
    await record(operator_of(request, account), Deed.EXPORT, now, subject=subject)
    name = f"deliveries-{now.astimezone(mailbox.settings.zone):%Y-%m-%d-%H%M}.csv"
    return StreamingResponse(
        _written(mailbox.vault, sought.selection, sought.falling),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _written(vault: Vault, selection: Selection, falling: bool) -> AsyncIterator[str]:
    """Yield the table a batch at a time. What moves meanwhile may be missing or stand twice, nothing else."""
    yield _BYTE_ORDER_MARK + _lines([_COLUMNS])
    beyond: Place | None = None
    while places := await find(selection, beyond, _BATCH, falling=falling):
        rows = await rows_of(vault, [place.id for place in places])
        yield _lines(_cells(row) for row in rows)
        beyond = places[-1]


def _cells(row: Row) -> tuple[object, ...]:
    """Return a row's cells, as `_COLUMNS` names them; only the address and the answer are other people's words."""
    return (
        row.id,
        row.status,
        row.held_reason,
        row.occasion,
        _moment(row.promised_at),
        _moment(row.due_at),
        _moment(row.status_at),
        defused(row.recipient or ""),
        row.attempts,
        defused(row.last_error),
    )


def _moment(moment: datetime) -> str:
    """Return a moment as spreadsheets read it, in UTC (ISO 8601)."""
    return f"{moment.astimezone(UTC).isoformat(' ')[:19]}Z"


def defused(text: str) -> str:
    """Return a cell's text so that no spreadsheet runs it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: Iterable[Sequence[object]]) -> str:
    """Return lines of CSV (RFC 4180)."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
