"""The reader's operations, on both databases: stopping, blocking, and undoing either."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from app.crypto import new_token, token_hash
from app.domain.letter import Draft
from app.domain.status import HeldReason, Occasion, Status
from app.errors import LetterNotFound
from app.store.cipher import LetterCipher
from app.store.letters import Letters
from app.store.models import BlockedAddress, Delivery, Letter
from app.store.retention import erase, purge
from app.store.unsubscribe import SecondArrival, block, received, resume, stop, unblock
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, Ledger, claim_due, new_worker

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
DRAFT = Draft(recipient_email=READER, body="Dear you", sender_email=WRITER)
CHANGES = [stop, resume, block, unblock]
Change = Callable[[str, datetime], Awaitable[None]]


async def _links(cipher: LetterCipher, token: str) -> tuple[UUID, str]:
    """Return a letter's id and its reader's token."""
    letter = await Letter.get(token_hash=token_hash(token))
    return letter.id, cipher.reader_token(letter.id, letter.recipient_hmac)


@pytest.fixture
async def arrived(letters: Letters, cipher: LetterCipher) -> tuple[str, str]:
    """A letter whose first delivery was sent: its writer's token and its reader's."""
    posted = await letters.post(DRAFT, NOW)
    letter, reader = await _links(cipher, posted.token)
    await _put(letter, Occasion.FIRST, Status.SENT)
    return posted.token, reader


async def _put(letter: UUID, occasion: Occasion, status: Status, reason: HeldReason | None = None) -> None:
    """Put a delivery where only a courier or an operator gets it."""
    sent_at = NOW if status is Status.SENT else None
    delivery = Delivery.filter(letter_id=letter, occasion=occasion)
    assert await delivery.update(status=status, sent_at=sent_at, held_reason=reason) == 1


async def _second() -> Delivery:
    return await Delivery.get(occasion=Occasion.SECOND)


# The link


async def test_a_link_is_found_by_its_hash_alone_and_is_the_readers_own(
    arrived: tuple[str, str], cipher: LetterCipher
) -> None:
    writer, reader = arrived
    letter = await Letter.get()
    assert letter.reader_token_hash == token_hash(reader)
    assert len(reader) == len(new_token())
    other_address, other_letter = cipher.address_hmac(WRITER), UUID(int=letter.id.int ^ 1)
    assert len({reader, cipher.reader_token(letter.id, other_address), cipher.reader_token(other_letter, READER)}) == 3
    for stranger in (writer, new_token(), ""):
        with pytest.raises(LetterNotFound):
            await received(cipher, stranger, NOW)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_wrong_link_changes_nothing(arrived: tuple[str, str], change: Change) -> None:
    for stranger in (arrived[0], new_token()):
        with pytest.raises(LetterNotFound):
            await change(stranger, NOW)
    assert (await _second()).status is Status.SCHEDULED
    assert await BlockedAddress.all().count() == 0


async def test_a_letter_from_before_there_were_links_is_found_by_none(ledger: Ledger, cipher: LetterCipher) -> None:
    await ledger.letter()
    with pytest.raises(LetterNotFound):
        await received(cipher, "", NOW)


async def test_the_page_knows_the_letters_dates_and_nothing_it_says(
    arrived: tuple[str, str], cipher: LetterCipher
) -> None:
    found = await received(cipher, arrived[1], NOW + 8 * DAY)
    assert (found.address, found.written_at, found.coming) == ("m…@example.org", NOW, SecondArrival.WAITS)
    assert found.again_at == NOW + 30 * DAY
    assert not found.blocked


# Stopping


@pytest.mark.parametrize("reason", [None, HeldReason.FIRST_REFUSED, HeldReason.OVERDUE, HeldReason.BLOCKED])
async def test_stopping_cancels_what_is_still_to_come_and_twice_is_once(
    arrived: tuple[str, str], cipher: LetterCipher, reason: HeldReason | None
) -> None:
    if reason:
        await _put((await Letter.get()).id, Occasion.SECOND, Status.HELD, reason)
    for at in (NOW + 8 * DAY, NOW + 9 * DAY):
        await stop(arrived[1], at)
    second = await _second()
    assert [second.status, second.status_at, second.held_reason] == [Status.CANCELLED, NOW + 8 * DAY, None]
    found = await received(cipher, arrived[1], NOW + 9 * DAY)
    assert (found.coming, found.resumable) == (SecondArrival.STOPPED, True)
    assert (await Delivery.get(occasion=Occasion.FIRST)).status is Status.SENT
    assert (await Delivery.get(occasion=Occasion.RECEIPT)).status is Status.SCHEDULED


async def test_a_stop_can_be_taken_back_until_the_letter_was_due(
    arrived: tuple[str, str], cipher: LetterCipher
) -> None:
    await stop(arrived[1], NOW + 8 * DAY)
    await resume(arrived[1], NOW + 30 * DAY)  # too late
    assert (await received(cipher, arrived[1], NOW + 30 * DAY)).resumable is False
    assert (await _second()).status is Status.CANCELLED
    for _ in range(2):
        await resume(arrived[1], NOW + 9 * DAY)
    second = await _second()
    assert (second.status, second.due_at) == (Status.SCHEDULED, NOW + 30 * DAY)
    assert (await received(cipher, arrived[1], NOW + 9 * DAY)).coming is SecondArrival.WAITS
    await stop(arrived[1], NOW + 10 * DAY)
    assert (await _second()).status is Status.CANCELLED


async def test_the_writer_learns_who_cancelled_it(arrived: tuple[str, str], letters: Letters) -> None:
    await stop(arrived[1], NOW + 8 * DAY)
    assert [state.stopped for state in (await letters.find(arrived[0])).deliveries] == [False, True]


@pytest.mark.parametrize("withdrawn_first", [True, False])
async def test_a_reader_cannot_resume_a_withdrawn_letter(
    arrived: tuple[str, str], letters: Letters, cipher: LetterCipher, withdrawn_first: bool
) -> None:
    changes: list[tuple[Change, str]] = [(letters.withdraw, arrived[0]), (stop, arrived[1])]
    for day, (change, token) in enumerate(changes if withdrawn_first else reversed(changes)):
        await change(token, NOW + (8 + day) * DAY)
    await resume(arrived[1], NOW + 10 * DAY)
    assert (await _second()).status is Status.CANCELLED
    found = await received(cipher, arrived[1], NOW + 10 * DAY)
    assert (found.coming, found.resumable) == (SecondArrival.NEVER, False)
    assert [state.stopped for state in (await letters.find(arrived[0])).deliveries] == [False, False]


async def test_deliveries_held_by_the_operator_stay_held(arrived: tuple[str, str], cipher: LetterCipher) -> None:
    letter = (await Letter.get()).id
    await _put(letter, Occasion.SECOND, Status.HELD, HeldReason.OPERATOR)
    await stop(arrived[1], NOW + 8 * DAY)
    await resume(arrived[1], NOW + 8 * DAY)
    second = await _second()
    assert (second.status, second.held_reason) == (Status.HELD, HeldReason.OPERATOR)
    found = await received(cipher, arrived[1], NOW + 8 * DAY)
    assert (found.coming, found.resumable) == (SecondArrival.STOPPED, False)


@pytest.mark.parametrize("occasion", [Occasion.FIRST, Occasion.SECOND])
async def test_a_delivery_claimed_at_the_stop_is_not_tried_again(
    prompt_letters: Letters, cipher: LetterCipher, occasion: Occasion
) -> None:
    """Refused for now, or given back, or sent again because the answer was lost."""
    letter, reader = await _links(cipher, (await prompt_letters.post(DRAFT, NOW - DAY)).token)
    worker = await new_worker()
    await claim_due(worker)
    assert (await received(cipher, reader, NOW)).coming is SecondArrival.LEAVES
    await stop(reader, NOW)
    freed = {"claim_token": None, "claimed_by_id": None}
    await Delivery.filter(letter_id=letter, occasion=occasion).update(status=Status.SCHEDULED, **freed)
    (again,) = await claim_due(worker)
    assert (again.occasion, again.hold_reason) == (occasion, HeldReason.BLOCKED)
    (receipt,) = await claim_due(worker, notices=True)
    assert receipt.hold_reason is None


@pytest.mark.parametrize("status", [Status.SENT, Status.FAILED, Status.CANCELLED])
async def test_final_deliveries_are_not_changed(arrived: tuple[str, str], cipher: LetterCipher, status: Status) -> None:
    await _put((await Letter.get()).id, Occasion.SECOND, status)
    await stop(arrived[1], NOW + 31 * DAY)
    await resume(arrived[1], NOW + 31 * DAY)
    assert (await _second()).status is status
    assert (await received(cipher, arrived[1], NOW + 31 * DAY)).coming is SecondArrival.NEVER


# Blocking


async def test_a_block_shows_only_when_something_is_due(
    letters: Letters, prompt_letters: Letters, arrived: tuple[str, str], cipher: LetterCipher
) -> None:
    for at in (NOW, NOW + DAY):
        await block(arrived[1], at)
    (blocked,) = await BlockedAddress.all()
    assert (blocked.address_hmac, blocked.since) == (cipher.address_hmac(READER), NOW)
    assert (await received(cipher, arrived[1], NOW)).blocked
    assert (await letters.post(DRAFT, NOW)).status is Status.SCHEDULED
    assert {state.status for state in (await letters.find(arrived[0])).deliveries} == {Status.SENT, Status.SCHEDULED}
    await prompt_letters.post(replace(DRAFT, recipient_email="minji+tag@EXAMPLE.org"), NOW - DAY)
    await prompt_letters.post(replace(DRAFT, recipient_email="other@example.org", sender_email=READER), NOW - DAY)
    worker = await new_worker()
    barred = [(one.occasion, one.hold_reason) for one in await claim_due(worker)]
    assert sorted(barred, key=str) == sorted(
        [(each, reason) for each in (Occasion.FIRST, Occasion.SECOND) for reason in (HeldReason.BLOCKED, None)],
        key=str,
    )
    notices = {one.letter["recipient_hmac"]: one.hold_reason for one in await claim_due(worker, notices=True)}
    assert notices == {cipher.address_hmac(READER): None, cipher.address_hmac("other@example.org"): HeldReason.BLOCKED}


async def test_unblocking_releases_held_deliveries(
    arrived: tuple[str, str], letters: Letters, cipher: LetterCipher
) -> None:
    first = await Letter.get()
    await letters.post(replace(DRAFT, recipient_email=WRITER, sender_email=READER), NOW)
    await letters.post(replace(DRAFT, recipient_email="other@example.org"), NOW)
    await block(arrived[1], NOW)
    await Delivery.filter(status=Status.SCHEDULED).update(status=Status.HELD, held_reason=HeldReason.BLOCKED)
    later = NOW + 40 * DAY
    for _ in range(2):
        await unblock(arrived[1], later)
    assert not (await received(cipher, arrived[1], later)).blocked
    released = await Delivery.filter(status=Status.SCHEDULED).prefetch_related("letter").order_by("id")
    assert [(each.letter_id == first.id, each.occasion) for each in released] == [
        (True, Occasion.SECOND),
        (False, Occasion.RECEIPT),
    ]
    assert {each.due_at for each in released} == {later}


async def test_unblocking_does_not_release_a_stopped_letter(arrived: tuple[str, str]) -> None:
    await block(arrived[1], NOW)
    await stop(arrived[1], NOW)
    await _put((await Letter.get()).id, Occasion.SECOND, Status.HELD, HeldReason.BLOCKED)
    await unblock(arrived[1], NOW)
    assert (await _second()).status is Status.HELD


# After the purge


async def test_a_purged_letters_link_still_blocks_and_resumes_nothing(
    arrived: tuple[str, str], cipher: LetterCipher
) -> None:
    await stop(arrived[1], NOW + 8 * DAY)
    await Delivery.filter(occasion=Occasion.RECEIPT).update(status=Status.CANCELLED)
    assert [purged async for purged in purge(NOW + 20 * DAY, DAY)] == [1]
    with pytest.raises(LetterNotFound):
        await resume(arrived[1], NOW + 20 * DAY)
    await block(arrived[1], NOW + 20 * DAY)
    found = await received(cipher, arrived[1], NOW + 20 * DAY)
    assert (found.address, found.coming, found.resumable, found.blocked) == ("", SecondArrival.STOPPED, False, True)
    assert (await _second()).status is Status.CANCELLED


async def test_a_reader_cannot_resume_an_erased_letter(arrived: tuple[str, str], cipher: LetterCipher) -> None:
    await stop(arrived[1], NOW + 8 * DAY)
    await erase(arrived[0], NOW + 9 * DAY)
    await resume(arrived[1], NOW + 9 * DAY)
    assert (await _second()).status is Status.CANCELLED
    assert (await received(cipher, arrived[1], NOW + 9 * DAY)).coming is SecondArrival.NEVER
