"""The list of deliveries, one delivery, and the list as CSV. The filter is in the URL, and can be shared."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.requests import Request

from app.domain.delivery_filter import DeliveryFilter
from app.domain.status import Action, Event
from app.store.accounts import AccountView
from app.store.audit_log import delivery_events, record
from app.store.cipher import LetterCipher
from app.store.delivery_details import delivery_details
from app.store.delivery_list import ListRow, list_deliveries, rows_of
from app.store.delivery_query import Cursor, count, find
from app.store.job_runs import scan_progress
from app.store.statistics import COUNT_LIMIT
from app.web.admin.base import DeliveryId, SignedIn, admin_page, operator_of
from app.web.admin.filter_form import PRESETS, FilterForm, filter_from_form, filter_from_query
from app.web.form_parsing import FormPairs
from app.web.language import language_of
from app.web.pages import CurrentServices

router = APIRouter(prefix="/admin", include_in_schema=False)


@router.get("/deliveries", name="admin list")
async def list_deliveries_page(
    request: Request, account: SignedIn, services: CurrentServices, at: str = ""
) -> Response:
    sought = filter_from_query(request.query_params.multi_items(), services.settings.zone)
    if sought.selection is None:
        return _invalid_filter(request, account, sought)
    return _listing(
        request,
        account,
        sought,
        found=await list_deliveries(services.cipher, sought.selection, descending=sought.descending, cursor=at),
        number=await count(sought.selection, COUNT_LIMIT),
        moving=await scan_progress(services.clock.now()),
    )


@router.post("/deliveries", name="admin find")
async def apply_filter(request: Request, account: SignedIn, services: CurrentServices, form: FormPairs) -> Response:
    """Redirect to the list. An address is posted, so that none is ever in a URL or a log."""
    sought = filter_from_form(form, services.settings.zone, services.cipher)
    if sought.selection is None:
        return _invalid_filter(request, account, sought)
    return RedirectResponse(f"/admin/deliveries?{sought.query()}", HTTPStatus.SEE_OTHER)


def _invalid_filter(request: Request, account: AccountView, sought: FilterForm) -> Response:
    answer = _listing(request, account, sought, found=None, number=0, moving=None)
    answer.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
    return answer


def _listing(request: Request, account: AccountView, sought: FilterForm, **found: Any) -> Response:
    return admin_page(
        request,
        "admin/deliveries.html",
        account,
        sought=sought,
        errors={name: fault.words(language_of(request)) for name, fault in sought.faults.items()},
        preset_states=PRESETS,
        actions=[each for each in Action if sought.selection and each.begins_at & sought.selection.states],
        **found,
    )


@router.get("/deliveries/{delivery_id}", name="admin delivery")
async def show_delivery(
    request: Request, account: SignedIn, services: CurrentServices, delivery_id: DeliveryId
) -> Response:
    found = await delivery_details(services.cipher, delivery_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return admin_page(
        request,
        "admin/delivery.html",
        account,
        found=found,
        touches=await delivery_events(delivery_id),
        actions=[each for each in Action if found.row.status in each.begins_at],
    )


_BATCH = 200  # rows; formatting them takes 5 ms of the event loop
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
async def export_csv(request: Request, account: SignedIn, services: CurrentServices) -> Response:
    sought = filter_from_query(request.query_params.multi_items(), services.settings.zone)
    if sought.selection is None:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY)
    now = services.clock.now()
    subject = str(sought.selection)[:_SUBJECT_LIMIT]
    await record(operator_of(request, account), Event.EXPORT, now, subject=subject)
    name = f"deliveries-{now.astimezone(services.settings.zone):%Y-%m-%d-%H%M}.csv"
    return StreamingResponse(
        _written(services.cipher, sought.selection, sought.descending),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _written(cipher: LetterCipher, selection: DeliveryFilter, descending: bool) -> AsyncIterator[str]:
    """Yield the table in batches. Rows that change meanwhile may be missing or repeated."""
    yield _BYTE_ORDER_MARK + _lines([_COLUMNS])
    beyond: Cursor | None = None
    while places := await find(selection, beyond, _BATCH, descending=descending):
        rows = await rows_of(cipher, [place.id for place in places])
        yield _lines(_cells(row) for row in rows)
        beyond = places[-1]


def _cells(row: ListRow) -> tuple[object, ...]:
    """Return a row's cells in the order of `_COLUMNS`; address and reply are untrusted."""
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
    """In UTC (ISO 8601)."""
    return f"{moment.astimezone(UTC).isoformat(' ')[:19]}Z"


def defused(text: str) -> str:
    """Return a cell's text so that no spreadsheet runs it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: Iterable[Sequence[object]]) -> str:
    """RFC 4180."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
