"""Purging old letters and erasing one at its writer's request, on both databases."""

import asyncio
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.crypto import token_hash
from app.domain.letter import Draft
from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.errors import BeingSent, LetterNotFound
from app.store.audit import audit
from app.store.cipher import LETTER_COLUMNS, LetterCipher
from app.store.claims import claim
from app.store.database import connection, transaction
from app.store.export import export
from app.store.letters import Letters
from app.store.models import Attempt, Delivery, Letter
from app.store.retention import erase, purge
from app.store.uncertain import resend_uncertain
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, Ledger, new_worker

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
KEEP = timedelta(days=30)
LATER = NOW + 60 * DAY
DRAFT = Draft(recipient_email=READER, body="Dear you", subject="The sea", sender_email=WRITER)
ENDED = (Status.SENT, Status.FAILED, Status.CANCELLED)
ANSWER = "250 thank you for Dear you"


async def _end(token: str, status: Status, at: datetime, *occasions: Occasion) -> None:
    """End all deliveries of a letter, or some of them."""
    letter = await Letter.get(token_hash=token_hash(token))
    wanted = Delivery.filter(letter_id=letter.id, occasion__in=occasions or list(Occasion))
    reason = HeldReason.OPERATOR if status is Status.HELD else None
    await wanted.update(status=status, status_at=at, sent_at=at if status is Status.SENT else None, held_reason=reason)


async def _answered(token: str, ledger: Ledger) -> None:
    letter = await Letter.get(token_hash=token_hash(token))
    for delivery in await Delivery.filter(letter_id=letter.id):
        await ledger.attempt(delivery, AttemptResult.TRANSIENT, 450, ANSWER)


async def _purge(now: datetime, limit: int = 2) -> int:
    return sum([purged async for purged in purge(now, KEEP, limit)])


async def _row(token: str) -> dict[str, Any]:
    (row,) = await Letter.filter(token_hash=token_hash(token)).values()
    return row


def _is_empty(row: dict[str, Any]) -> bool:
    return {row[f"{column}_sealed"] for column in LETTER_COLUMNS} == {None} and row["purged_at"] is not None


@pytest.mark.parametrize("status", ENDED)
async def test_a_letter_is_forgotten_when_its_last_delivery_ended_long_enough_ago(
    letters: Letters, ledger: Ledger, status: Status
) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await _answered(token, ledger)
    await _end(token, Status.SENT, NOW + 7 * DAY)
    await _end(token, status, NOW + 30 * DAY, Occasion.SECOND)
    assert await _purge(LATER - timedelta(microseconds=1)) == 0
    assert (await letters.find(token)).draft.body == DRAFT.body
    assert await _purge(LATER) == 1
    row = await _row(token)
    assert _is_empty(row)
    assert (row["purged_at"], row["written_at"]) == (LATER, NOW)
    assert {attempt.answer for attempt in await Attempt.all()} == {""}
    with pytest.raises(LetterNotFound):
        await letters.find(token)
    assert not (await audit()).impossible["purged letters with unsent deliveries"]
    assert await _purge(LATER + DAY) == 0


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.HELD, Status.UNCERTAIN])
async def test_a_held_or_uncertain_letter_is_not_purged(letters: Letters, status: Status) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await _end(token, Status.SENT, NOW + DAY)
    await _end(token, status, NOW + DAY, Occasion.SECOND)
    assert await _purge(NOW + 1000 * DAY) == 0
    assert not _is_empty(await _row(token))


async def test_many_letters_are_forgotten_a_batch_at_a_time(letters: Letters) -> None:
    tokens = [(await letters.post(DRAFT, NOW + n * timedelta(seconds=1))).token for n in range(11)]
    for token in tokens[::2]:
        await _end(token, Status.CANCELLED, NOW + DAY)
    assert [purged async for purged in purge(LATER, KEEP, 4)] == [2, 2, 2]
    assert [_is_empty(await _row(token)) for token in tokens] == [n % 2 == 0 for n in range(11)]


async def test_a_letter_requeued_during_the_purge_is_kept(letters: Letters) -> None:
    """The operator schedules a refused letter again while the purge examines it."""
    token = (await letters.post(DRAFT, NOW)).token
    await _end(token, Status.FAILED, NOW + DAY)
    if connection().capabilities.dialect == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    outside = copy_context()
    async with transaction(), asyncio.timeout(60):
        await Delivery.filter(occasion=Occasion.FIRST).update(status=Status.SCHEDULED, status_at=LATER)
        purging = asyncio.create_task(_purge(LATER), context=outside)
        while not await _waits_for_a_lock():  # noqa: ASYNC110 - the database says nothing when it does
            await asyncio.sleep(0)
        assert not purging.done()
    assert await purging == 0
    assert not _is_empty(await _row(token))


async def _waits_for_a_lock() -> bool:
    rows = await connection().execute_query_dict("SELECT 1 FROM pg_locks WHERE NOT granted")
    return bool(rows)


async def test_erasing_cancels_and_purges_at_once(letters: Letters, ledger: Ledger) -> None:
    token, other = [(await letters.post(DRAFT, NOW)).token for _ in range(2)]
    await _answered(token, ledger)
    await _end(token, Status.SENT, NOW + DAY, Occasion.FIRST)
    letter = await Letter.get(token_hash=token_hash(token))
    mails = {each.message_id for each in await Delivery.filter(letter_id=letter.id)}
    assert set(await erase(token, NOW + 2 * DAY)) == mails
    assert _is_empty(await _row(token))
    states = dict(await Delivery.filter(letter_id=letter.id).values_list("occasion", "status"))
    assert states == {"first": Status.SENT, "second": Status.CANCELLED, "receipt": Status.CANCELLED}
    assert {attempt.answer for attempt in await Attempt.all()} == {""}
    assert (await letters.find(other)).draft.body == DRAFT.body
    assert not (await audit()).impossible["purged letters with unsent deliveries"]
    with pytest.raises(LetterNotFound):
        await erase(token, NOW + 2 * DAY)


@pytest.mark.parametrize("status", [Status.HELD, Status.FAILED, Status.UNCERTAIN])
async def test_nothing_of_an_erased_letter_is_ever_sent_again(letters: Letters, status: Status) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await _end(token, status, NOW)
    await erase(token, NOW)
    assert len(await resend_uncertain(LATER)) == 0
    assert {each.status for each in await Delivery.all()} <= {Status.CANCELLED, Status.FAILED}


async def test_a_letter_that_is_being_handed_over_is_not_erased_and_not_changed(letters: Letters) -> None:
    token = (await letters.post(replace(DRAFT, sender_email=""), NOW)).token
    worker = await new_worker()
    (claimed,) = await claim(worker, worker, NOW + 7 * DAY, 10, notices=False)
    assert claimed.occasion is Occasion.FIRST
    with pytest.raises(BeingSent):
        await erase(token, NOW + 7 * DAY)
    states = dict(await Delivery.all().values_list("occasion", "status"))
    assert states == {"first": Status.CLAIMED, "second": Status.SCHEDULED}
    assert not _is_empty(await _row(token))


async def test_the_export_holds_all_that_is_kept_but_the_sealed_text(
    letters: Letters, cipher: LetterCipher, ledger: Ledger
) -> None:
    token = (await letters.post(replace(DRAFT, recipient_name="민지", sender_name="준"), NOW)).token
    await _answered(token, ledger)
    kept = await export(cipher, token, NOW)
    assert kept["body"] is None
    assert (kept["recipient_email"], kept["recipient_name"]) == (READER, "민지")
    assert (kept["sender_email"], kept["sender_name"], kept["subject"]) == (WRITER, "준", "The sea")
    assert (kept["written_at"], kept["timezone"], kept["language"]) == (NOW, "UTC", "en")
    assert [each["occasion"] for each in kept["deliveries"]] == ["first", "second", "receipt"]
    assert [each["tries"][0]["answer"] for each in kept["deliveries"]] == [ANSWER] * 3
    assert kept["hashes"]["recipient_hmac"] == cipher.address_hmac(READER)
    assert "token" not in kept
    await _end(token, Status.SENT, NOW, Occasion.RECEIPT)
    assert (await export(cipher, token, NOW))["body"] is None
    await _end(token, Status.SENT, NOW + 7 * DAY, Occasion.FIRST)
    assert (await export(cipher, token, NOW))["body"] == DRAFT.body
    await erase(token, NOW + 8 * DAY)
    with pytest.raises(LetterNotFound):
        await export(cipher, token, NOW)


async def test_every_column_that_says_anything_is_exported(cipher: LetterCipher, letters: Letters) -> None:
    kept = await export(cipher, (await letters.post(DRAFT, NOW)).token, NOW)
    ours = {"id", "purged_at", "token_sealed", "over_quota"}  # the last would tell what others did (P2)
    letter = {name.removesuffix("_sealed") for name in Letter._meta.fields_db_projection if name not in ours}
    assert letter == (set(kept) - {"deliveries", "corrections", "hashes"}) | set(kept["hashes"])
    inside = {
        "id",
        "letter_id",
        "notice",
        "domain_hmac",
        "awaited_hmac",
        "claim_token",
        "claimed_by_id",
        "handed_over_at",
    }
    assert set(Delivery._meta.fields_db_projection) - inside == set(kept["deliveries"][0]) - {"tries"}
