"""The list as a table: all of it, whatever it holds, safe to open."""

import csv
import gc
import io
from datetime import timedelta

import httpx
import pytest

from app.domain.delivery_filter import DeliveryFilter
from app.domain.status import AttemptResult, Occasion, Status
from app.store.audit_log import audit_entries
from app.store.delivery_list import ListRow
from app.store.models import Delivery
from app.web.admin.deliveries import _BATCH, _written, defused
from tests.clock import NEW_YEAR as NOW
from tests.web.admin.browser import Desk

pytestmark = pytest.mark.anyio


async def _rows(operator: httpx.AsyncClient, query: str = "") -> list[dict[str, str]]:
    answer = await operator.get(f"/admin/deliveries.csv?{query}")
    assert answer.status_code == 200
    assert answer.content.startswith(b"\xef\xbb\xbfid,")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


async def test_the_table_holds_every_row_of_the_list_in_its_order(desk: Desk, operator: httpx.AsyncClient) -> None:
    first = await desk.ledger.add(Status.SCHEDULED, NOW)
    await desk.ledger.multiply(first, 1_100)  # of one moment, and more than two batches
    await desk.ledger.add(Status.SCHEDULED, NOW - timedelta(hours=1))
    await desk.ledger.add(Status.SENT, NOW)
    rows = await _rows(operator, "state=scheduled&order=latest")
    ids = [int(row["id"]) for row in rows]
    assert len(ids) == len(set(ids)) == 1_102
    assert ids[:-1] == sorted(ids[:-1], reverse=True)
    assert rows[-1]["due_at"] == "2026-01-01 08:30:00Z"


async def test_no_more_rows_are_in_memory_than_a_batch(desk: Desk) -> None:
    await desk.ledger.multiply(await desk.ledger.add(Status.SCHEDULED, NOW), 2_499)
    written, alive = 0, []
    before = _list_rows()  # of other tests
    async for part in _written(desk.cipher, DeliveryFilter(), descending=True):
        written += part.count("\r\n")
        alive.append(sum(not any(each is other for other in before) for each in _list_rows()))
    assert written == 2_501
    assert max(alive) == _BATCH


def _list_rows() -> list[ListRow]:
    return [each for each in gc.get_objects() if type(each) is ListRow]


async def test_a_row_is_an_envelope_with_a_masked_address(desk: Desk, operator: httpx.AsyncClient) -> None:
    failed = await desk.ledger.add(Status.FAILED, NOW)
    await desk.ledger.attempt(failed, AttemptResult.PERMANENT, None, '=HYPERLINK("http://evil.example","x")\r\n,')
    await Delivery.filter(id=failed.id).update(attempts=1)
    (row,) = await _rows(operator)
    assert row == {
        "id": str(failed.id),
        "status": "failed",
        "held_reason": "",
        "occasion": "first",
        "promised_at": "2026-01-01 09:30:00Z",
        "due_at": "2026-01-01 09:30:00Z",
        "status_at": "2026-01-01 09:30:00Z",
        "recipient": "m…@example.org",
        "attempts": "1",
        "last_error": '\'=HYPERLINK("http://evil.example","x")\r\n,',
    }


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_run_as_a_formula(sign: str) -> None:
    assert defused(f"{sign}1+1") == f"'{sign}1+1"
    assert defused(f"1{sign}1") == f"1{sign}1"


async def test_it_is_saved_under_a_name_with_its_moment(operator: httpx.AsyncClient) -> None:
    answer = await operator.get("/admin/deliveries.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="deliveries-2026-01-01-1830.csv"'
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"


async def test_who_saved_what_is_on_the_trail(operator: httpx.AsyncClient) -> None:
    everything = "&".join(f"occasion={each}" for each in list(Occasion)[1:]) + f"&message_id=<{'m' * 99}@{'n' * 99}>"
    for query in ("state=held&order=latest", everything):
        assert (await operator.get(f"/admin/deliveries.csv?{query}")).status_code == 200
    newest, entry = await audit_entries(limit=2)
    assert (entry.who, entry.client, entry.action, entry.subject) == ("admin", "192.0.2.7", "export", "state=held")
    assert newest.subject.startswith("occasion=second&")


async def test_what_cannot_be_selected_cannot_be_saved(operator: httpx.AsyncClient) -> None:
    assert (await operator.get("/admin/deliveries.csv?state=secret")).status_code == 422
