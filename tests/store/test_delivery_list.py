"""The admin list of deliveries, on both databases."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tortoise.transactions import in_transaction

from app.crypto import BlindIndex, Cipher
from app.domain.delivery_filter import COMING, ENDED, DeliveryFilter
from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store.cipher import LETTER_COLUMNS, LetterCipher, open_cipher
from app.store.database import connected, connection
from app.store.delivery_list import ListPage, list_deliveries
from app.store.models import Delivery, Letter
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
async def cipher(database_url: str) -> AsyncIterator[LetterCipher]:
    async with connected(database_url):
        yield await open_cipher(Cipher(["k" * 32]))


@pytest.fixture
def ledger(cipher: LetterCipher) -> Ledger:
    return Ledger(cipher)


async def _list(cipher: LetterCipher, states: Sequence[Status], **where: Any) -> ListPage:
    selection = DeliveryFilter(frozenset(states))
    return await list_deliveries(cipher, selection, descending=selection.has_ended, **where)


def _minutes(page: ListPage) -> list[int]:
    return [(row.due_at - NOW) // MINUTE for row in page.rows]


async def test_unsent_deliveries_are_listed_soonest_first_and_ended_ones_newest_first(
    cipher: LetterCipher, ledger: Ledger
) -> None:
    for minute, status in enumerate(Status):
        await ledger.add(status, NOW + minute * MINUTE)
    await ledger.add(Status.SCHEDULED, NOW - MINUTE, occasion=Occasion.RECEIPT)
    coming = await _list(cipher, COMING)
    ended = await _list(cipher, ENDED)
    order = list(Status)
    assert [row.status for row in coming.rows] == [
        Status.SCHEDULED,
        *(status for status in order if status in COMING),
    ]
    assert [row.status for row in ended.rows] == [status for status in reversed(order) if status in ENDED]
    assert set(COMING) | set(ENDED) == set(Status)


@pytest.mark.parametrize("status", list(Status))
async def test_one_state_alone(cipher: LetterCipher, ledger: Ledger, status: Status) -> None:
    for each in Status:
        await ledger.add(each, NOW)
    page = await _list(cipher, [status])
    assert [row.status for row in page.rows] == [status]
    assert (page.previous, page.next) == ("", "")


async def test_a_row_shows_a_masked_recipient_and_no_text(cipher: LetterCipher, ledger: Ledger) -> None:
    await ledger.add(Status.HELD, NOW)
    await ledger.add(Status.SCHEDULED, NOW + MINUTE, occasion=Occasion.RECEIPT)
    letter, receipt = (await _list(cipher, COMING)).rows
    assert (letter.recipient, letter.occasion, letter.held_reason) == ("m…@example.org", "first", "operator")
    assert (letter.promised_at, letter.due_at, letter.status_at) == (NOW, NOW, NOW)
    assert (receipt.recipient, receipt.held_reason) == ("j…@example.net", None)  # a notice goes to the writer
    assert "secret" not in repr((letter, receipt))


async def test_a_letter_that_is_purged_or_sealed_with_a_lost_key_is_listed_without_an_address(
    cipher: LetterCipher, ledger: Ledger
) -> None:
    purged = await ledger.add(Status.SENT, NOW)
    emptied = dict.fromkeys((f"{column}_sealed" for column in LETTER_COLUMNS), None)
    await Letter.filter(id=purged.letter_id).update(purged_at=NOW, **emptied)
    foreign = LetterCipher(Cipher(["x" * 32]), BlindIndex(b"x" * 32))
    assert (await _list(cipher, ENDED)).rows[0].recipient == ""
    await ledger.add(Status.SCHEDULED, NOW)
    assert (await _list(foreign, COMING)).rows[0].recipient is None


async def test_the_last_error_is_that_of_the_newest_attempt(cipher: LetterCipher, ledger: Ledger) -> None:
    twice, silent, _ = [await ledger.add(Status.SCHEDULED, NOW + minute * MINUTE) for minute in range(3)]
    await ledger.attempt(twice, AttemptResult.TRANSIENT, 421, "go away")
    await ledger.attempt(twice, AttemptResult.TRANSIENT, 450, "slow down")
    await ledger.attempt(silent, AttemptResult.UNANSWERED, None, "")
    await Delivery.filter(id=twice.id).update(attempts=2)
    rows = (await _list(cipher, COMING)).rows
    assert [row.last_error for row in rows] == ["450 4.2.1 slow down", "unanswered", ""]
    assert [row.attempts for row in rows] == [2, 0, 0]


async def test_an_accepted_delivery_has_no_error(cipher: LetterCipher, ledger: Ledger) -> None:
    sent = await ledger.add(Status.SENT, NOW)
    await ledger.attempt(sent, AttemptResult.TRANSIENT, 450, "slow down")
    await ledger.attempt(sent, AttemptResult.ACCEPTED, 250, "ok")
    assert (await _list(cipher, ENDED)).rows[0].last_error == ""


async def test_paging_visits_every_row_once_in_both_directions(cipher: LetterCipher, ledger: Ledger) -> None:
    """Several rows share a moment, and a page ends in the middle of them; branches are mixed."""
    for number in range(10):
        occasion = Occasion.RECEIPT if number % 3 == 0 else Occasion.FIRST
        status = Status.HELD if number % 4 == 0 else Status.SCHEDULED
        await ledger.add(status, NOW + (number // 5) * MINUTE, occasion=occasion)
    whole = (await _list(cipher, COMING)).rows
    first = await _list(cipher, COMING, limit=4)
    second = await _list(cipher, COMING, cursor=first.next, limit=4)
    third = await _list(cipher, COMING, cursor=second.next, limit=4)
    assert first.rows + second.rows + third.rows == whole
    assert (len(whole), first.previous, third.next) == (10, "", "")
    assert await _list(cipher, COMING, cursor=third.previous, limit=4) == second
    assert await _list(cipher, COMING, cursor=second.previous, limit=4) == first


async def test_pages_of_ended_deliveries_go_back_in_time(cipher: LetterCipher, ledger: Ledger) -> None:
    for minute in range(5):
        await ledger.add(Status.SENT if minute % 2 else Status.FAILED, NOW + minute * MINUTE)
    first = await _list(cipher, ENDED, limit=2)
    second = await _list(cipher, ENDED, cursor=first.next, limit=2)
    assert _minutes(first) + _minutes(second) == [4, 3, 2, 1]
    third = await _list(cipher, ENDED, cursor=second.next, limit=2)
    assert _minutes(third) == [0]
    assert await _list(cipher, ENDED, cursor=third.previous, limit=2) == second


async def test_a_row_inserted_ahead_moves_no_page(cipher: LetterCipher, ledger: Ledger) -> None:
    for minute in range(4):
        await ledger.add(Status.SENT, NOW + minute * MINUTE)
    first = await _list(cipher, ENDED, limit=2)
    await ledger.add(Status.SENT, NOW + 9 * MINUTE)
    second = await _list(cipher, ENDED, cursor=first.next, limit=2)
    assert _minutes(second) == [1, 0]
    assert _minutes(await _list(cipher, ENDED, cursor=second.previous, limit=2)) == [3, 2]
    third = await _list(cipher, ENDED, limit=1, cursor=first.next)
    back = await _list(cipher, ENDED, cursor=third.previous, limit=9)
    assert _minutes(back) == [9, 3, 2, 1, 0]  # there is no full page before, so the first page


@pytest.mark.parametrize("cursor", ["nonsense", "after-1-2-3", "after--1-1", "after-99999999999999999-1"])
async def test_an_invalid_cursor_means_the_first_page(cipher: LetterCipher, ledger: Ledger, cursor: str) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    assert _minutes(await _list(cipher, COMING, cursor=cursor)) == [0]


async def test_an_empty_ledger_has_an_empty_page(cipher: LetterCipher) -> None:
    assert await _list(cipher, COMING) == ListPage((), "", "")


async def test_a_list_is_read_from_its_indexes(
    cipher: LetterCipher, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    await _fill(ledger)
    for states in (COMING, ENDED, *([status] for status in Status)):
        page = await _list(cipher, states, limit=2)
        caplog.clear()
        with caplog.at_level("DEBUG", "tortoise.db_client"):
            await _list(cipher, states, cursor=page.next, limit=2)
        reads = await _assert_indexed(
            _statement(caplog, "AS branches"), "'2026-01-01 09:30:00+00:00', 1, '9999-01-01 00:00:00+00:00'"
        )
        assert not [line for line in reads if line.startswith("SCAN")]  # SQLite: no index is read from its start


async def test_a_domain_is_read_from_its_indexes(
    cipher: LetterCipher, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    await _fill(ledger)
    with caplog.at_level("DEBUG", "tortoise.db_client"):
        await list_deliveries(cipher, DeliveryFilter(domain_hmac="unknown"), descending=True)
    between = "'9999-01-01 00:00:00+00:00', 0, '0001-01-01 00:00:00+00:00', 'unknown'"
    reads = await _assert_indexed(_statement(caplog, "AS branches"), between)
    assert not [line for line in reads if line.startswith("SCAN")]
    assert any("_there" in line for line in reads)


async def test_deliveries_held_for_a_reason_are_read_from_their_index(
    cipher: LetterCipher, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    await ledger.multiply(await ledger.add(Status.HELD, NOW), 3_000)
    await connection().execute_script("ANALYZE")
    overdue = DeliveryFilter(frozenset({Status.HELD}), reasons=frozenset({HeldReason.OVERDUE}))
    with caplog.at_level("DEBUG", "tortoise.db_client"):
        await list_deliveries(cipher, overdue, descending=False)
    between = "'0001-01-01 00:00:00+00:00', 0, '9999-01-01 00:00:00+00:00'"
    reads = await _assert_indexed(_statement(caplog, "AS branches"), between)
    assert all("deliveries_held_for" in line for line in reads)


def _statement(caplog: pytest.LogCaptureFixture, mark: str) -> str:
    """Return the one statement with this mark, as Tortoise logged it with its values behind a colon."""
    (message,) = [record.getMessage() for record in caplog.records if mark in record.getMessage()]
    return message.rpartition(": [")[0]


async def _fill(ledger: Ledger) -> None:
    """Store enough that an index is cheaper than a scan, and ANALYZE."""
    for status in (Status.SCHEDULED, Status.SENT):
        await ledger.multiply(await ledger.add(status, NOW), 3_000)
    await connection().execute_script("ANALYZE")


async def _assert_indexed(statement: str, values: str) -> list[str]:
    """Show that the plan, on PostgreSQL the generic one, touches `deliveries` by its indexes alone."""
    if connection().capabilities.dialect == "sqlite":
        rows = await connection().execute_query_dict(f"EXPLAIN QUERY PLAN {statement}", values.split(", "))
        plan = [row["detail"] for row in rows]
        reads = [line for line in plan if " deliveries" in line]
    else:
        async with in_transaction() as transaction:
            await transaction.execute_script("SET LOCAL plan_cache_mode = force_generic_plan")
            await transaction.execute_script(f"PREPARE statement AS {statement}")
            rows = await transaction.execute_query_dict(f"EXPLAIN EXECUTE statement ({values})")
            await transaction.execute_script("DEALLOCATE statement")
        plan = [row["QUERY PLAN"] for row in rows]
        reads = [line for line in plan if "Scan" in line and "deliveries" in line and "Bitmap Heap" not in line]
    assert reads
    assert all(re.search("(INDEX|using|on) deliveries_", line) for line in reads), plan
    return reads
