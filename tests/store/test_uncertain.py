"""Settling the ledger by what a mail server received, on both databases."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.crypto import Cipher, new_token
from app.domain.status import AttemptResult, Status
from app.errors import MailboxError
from app.store.audit import audit
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.models import Attempt, Delivery
from app.store.uncertain import message_ids, reconcile
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio
LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    async with connected(database_url):
        yield Ledger(await open_cipher(Cipher(["k" * 32])))


async def _add(ledger: Ledger, status: Status) -> Delivery:
    delivery = await ledger.add(status, NOW)
    delivery.message_id = f"<{new_token()}@example.org>"
    await delivery.save()
    return delivery


@pytest.mark.parametrize("status", [Status.UNCERTAIN, Status.HELD])
async def test_what_was_received_is_sent(ledger: Ledger, status: Status) -> None:
    there, elsewhere = await _add(ledger, status), await _add(ledger, status)
    result = await reconcile([there.message_id], LATER)
    assert (result.received, result.settled, result.unknown, result.left) == (1, 1, 0, {})
    await elsewhere.refresh_from_db()
    assert await Delivery.filter(id=there.id, status=Status.SENT, sent_at=LATER, held_reason=None).exists()
    assert elsewhere.status is status
    assert (await Attempt.get(delivery_id=there.id)).outcome is AttemptResult.ACCEPTED
    assert (await audit()).impossible["sent deliveries without an accepted attempt, though their letter is kept"] == 0


async def test_twice_is_the_same_as_once(ledger: Ledger) -> None:
    delivery = await _add(ledger, Status.UNCERTAIN)
    await reconcile([delivery.message_id], NOW)
    again = await reconcile([delivery.message_id], LATER)
    assert (again.received, again.settled) == (1, 0)
    assert await Attempt.filter(delivery_id=delivery.id).count() == 1


async def test_what_cannot_be_settled_is_told_and_left(ledger: Ledger) -> None:
    scheduled = await _add(ledger, Status.SCHEDULED)
    result = await reconcile([scheduled.message_id, "<nobody@example.org>"], LATER)
    assert (result.settled, result.unknown, result.left) == (0, 1, {Status.SCHEDULED: 1})
    await scheduled.refresh_from_db()
    assert scheduled.status is Status.SCHEDULED


async def test_more_than_one_batch(ledger: Ledger) -> None:
    delivery = await _add(ledger, Status.UNCERTAIN)
    strangers = [f"<{new_token()}@example.org>" for _ in range(1200)]
    result = await reconcile([*strangers, delivery.message_id], LATER)
    assert (result.received, result.unknown, result.settled) == (1201, 1200, 1)


def test_message_ids_are_found_in_logs_and_in_folders(tmp_path: Path) -> None:
    one, other = new_token(), new_token()
    log = tmp_path / "mail.log"
    log.write_bytes(
        f"2026-11-21 12:00:00 1vMx <= letters@example.org id=<{one}@example.org>\n".encode() * 2
        + b"\xff <short@example.org>\n"
    )
    assert list(message_ids(log)) == [f"<{one}@example.org>"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "1.eml").write_text(f"Message-ID: <{other}@example.org>\n\nhello\n")
    assert set(message_ids(tmp_path)) == {f"<{one}@example.org>", f"<{other}@example.org>"}


def test_a_file_that_is_one_line_is_read_in_pieces(tmp_path: Path) -> None:
    first, last = new_token(), new_token()
    log = tmp_path / "mail.log"
    log.write_text(f"id=<{first}@example.org> {'x' * 1_000_000} id=<{last}@example.org>")
    assert list(message_ids(log)) == [f"<{first}@example.org>", f"<{last}@example.org>"]


def test_what_postfix_did_not_read_to_its_end_was_not_received(tmp_path: Path) -> None:
    whole, broken = new_token(), new_token()
    log = tmp_path / "mail.log"
    log.write_text(
        f"""\
Nov 21 15:11:06 post postfix/cleanup[13976]: 4jWwdQ5Qx3zMl8f: message-id=<{broken}@example.org>
Nov 21 15:11:06 post postfix/cleanup[13977]: 4jWwdy0b23zMkrF: message-id=<{whole}@example.org>
Nov 21 15:11:06 post postfix/smtpd[12806]: lost connection after DATA (14079 bytes) from localhost[127.0.0.1]
Nov 21 15:11:06 post postfix/qmgr[12317]: 4jWwdy0b23zMkrF: from=<>, size=8850, nrcpt=1 (queue active)
Nov 21 15:11:07 post postfix/qmgr[12317]: 4jWwdy0b23zMkrF: removed
"""
    )
    assert list(message_ids(log)) == [f"<{whole}@example.org>"]


def test_a_log_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MailboxError, match="nowhere"):
        list(message_ids(tmp_path / "nowhere"))
