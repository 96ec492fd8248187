"""Confirmation of addresses, on both databases: who is asked, how often, and which letters are released."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from app.crypto import new_token, token_hash
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import HeldReason, Occasion, Status
from app.errors import LetterNotFound
from app.store.address_change import Corrections
from app.store.audit import audit
from app.store.cipher import LetterCipher
from app.store.claims import claim
from app.store.confirmation import ConfirmationLink, Confirmations, cancel_unconfirmed, confirm, link_state
from app.store.database import connection
from app.store.letters import Letters
from app.store.models import Confirmation, Delivery, Letter
from app.store.operator_actions import TRANSITIONS
from app.store.unsubscribe import resume, stop
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, new_worker

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
DRAFT = Draft(recipient_email=READER, body="Dear you", sender_email=WRITER)
TO_READER = replace(DRAFT, sender_email="")


@pytest.fixture
def confirmations(cipher: LetterCipher) -> Confirmations:
    return Confirmations(cipher, "slow.test")


@pytest.fixture
def letters(cipher: LetterCipher, confirmations: Confirmations) -> Letters:
    return Letters(
        cipher,
        first_delay=Delay(days=7),
        second_delay=Delay(days=30),
        message_domain="slow.test",
        confirmations=confirmations,
    )


async def _confirmation_mails() -> list[Delivery]:
    return await Delivery.filter(occasion=Occasion.CONFIRMATION).order_by("id")


async def _link(cipher: LetterCipher, number: int = -1, *, sent_at: object = NOW) -> str:
    """Mark a confirmation mail as sent and return its token."""
    mail = (await _confirmation_mails())[number]
    await Delivery.filter(id=mail.id).update(status=Status.SENT, status_at=sent_at, sent_at=sent_at)
    return cipher.confirmation_token(mail.message_id)


async def _statuses() -> set[tuple[Status, HeldReason | None]]:
    rows = await Delivery.exclude(occasion=Occasion.CONFIRMATION)
    return {(row.status, row.held_reason) for row in rows}


UNCONFIRMED = {(Status.HELD, HeldReason.UNCONFIRMED)}
RELEASED = {(Status.SCHEDULED, None)}
CANCELLED = {(Status.CANCELLED, None)}


@pytest.mark.parametrize(("draft", "asked"), [(DRAFT, WRITER), (TO_READER, READER)])
async def test_only_the_confirmation_mail_is_sent_before_the_click(
    letters: Letters, cipher: LetterCipher, draft: Draft, asked: str
) -> None:
    assert (await letters.post(draft, NOW)).status is Status.HELD
    assert await _statuses() == UNCONFIRMED
    for notices in (True, False):
        taken = await claim(await new_worker(), uuid4(), NOW + 40 * DAY, 9, notices=notices)
        assert [each.occasion for each in taken] == [Occasion.CONFIRMATION] * notices
        for each in taken:
            assert each.domain_hmac == cipher.domain_hmac(asked)
            assert each.letter[f"{each.addressee}_hmac"] == cipher.address_hmac(asked)


@pytest.mark.parametrize("draft", [DRAFT, TO_READER])
async def test_a_link_releases_all_letters_of_its_address_and_works_once(
    letters: Letters, cipher: LetterCipher, draft: Draft
) -> None:
    for n in range(3):
        await letters.post(draft, NOW + n * HOUR)
    other = replace(draft, recipient_email="a@else.org", sender_email="b@else.org" if draft.sender_email else "")
    await letters.post(other, NOW)
    assert len(await _confirmation_mails()) == 2  # one for each address
    link = await _link(cipher, 0)
    assert await link_state(link, NOW + 3 * HOUR) is ConfirmationLink.LIVE
    assert await confirm(link, NOW + 3 * HOUR) is ConfirmationLink.LIVE
    assert await Delivery.filter(held_reason=HeldReason.UNCONFIRMED).count() == 2 + bool(draft.sender_email)
    assert await link_state(link, NOW + 3 * HOUR) is ConfirmationLink.USED
    assert await Letter.filter(confirmed_at=NOW + 3 * HOUR).count() == 3
    await letters.post(draft, NOW + 4 * HOUR)
    waiting = await Delivery.filter(held_reason=HeldReason.UNCONFIRMED).count()
    assert await confirm(link, NOW + 5 * HOUR) is ConfirmationLink.USED
    assert await Delivery.filter(held_reason=HeldReason.UNCONFIRMED).count() == waiting
    assert sum((await audit()).impossible.values()) == 1  # the mail was only marked as sent


async def test_after_a_late_click_overdue_deliveries_are_due_now_and_keep_their_promise(cipher: LetterCipher) -> None:
    quick = Letters(
        cipher,
        first_delay=Delay(elapsed=HOUR),
        second_delay=Delay(days=30),
        message_domain="slow.test",
        confirmations=Confirmations(cipher, "slow.test"),
    )
    await quick.post(DRAFT, NOW)
    await confirm(await _link(cipher), NOW + 2 * HOUR)
    due = {row.occasion: (row.promised_at, row.due_at) for row in await Delivery.all()}
    assert due[Occasion.FIRST] == (NOW + HOUR, NOW + 2 * HOUR)
    assert due[Occasion.SECOND] == (NOW + 30 * DAY, NOW + 30 * DAY)
    assert due[Occasion.RECEIPT] == (NOW, NOW + 2 * HOUR)


async def test_an_address_is_asked_once_a_day_at_most(letters: Letters, cipher: LetterCipher) -> None:
    await letters.post(DRAFT, NOW)
    await confirm(await _link(cipher), NOW + HOUR)
    for n in (2, 3):  # these wait for tomorrow's mail
        await letters.post(replace(DRAFT, sender_email=WRITER.upper()), NOW + n * HOUR)
    assert [each.due_at for each in await _confirmation_mails()] == [NOW, NOW + DAY]
    await letters.post(DRAFT, NOW + 3 * DAY)  # the second link was not used
    assert [each.due_at for each in await _confirmation_mails()] == [NOW, NOW + DAY, NOW + 3 * DAY]


async def test_a_link_expires_after_two_days_and_its_deliveries_are_cancelled(
    letters: Letters, cipher: LetterCipher
) -> None:
    await letters.post(DRAFT, NOW)
    link = await _link(cipher, sent_at=NOW + HOUR)
    for late, state, called_off in ((48 * HOUR, ConfirmationLink.LIVE, 0), (49 * HOUR, ConfirmationLink.EXPIRED, 3)):
        assert await link_state(link, NOW + late) is state
        assert len(await cancel_unconfirmed(NOW + late)) == called_off
    assert await confirm(link, NOW + 49 * HOUR) is ConfirmationLink.EXPIRED
    assert await _statuses() == CANCELLED
    assert sum((await audit()).impossible.values()) == 1  # the mail was only marked as sent


async def test_deliveries_whose_mail_is_unsent_are_not_cancelled(letters: Letters) -> None:
    """The mail server was away for days."""
    await letters.post(DRAFT, NOW)
    assert len(await cancel_unconfirmed(NOW + 9 * DAY)) == 0
    await Delivery.filter(occasion=Occasion.CONFIRMATION).update(status=Status.FAILED, status_at=NOW + 9 * DAY)
    assert len(await cancel_unconfirmed(NOW + 10 * DAY)) == 0
    assert len(await cancel_unconfirmed(NOW + 11 * DAY)) == 3


@pytest.mark.parametrize("action", TRANSITIONS)
async def test_operators_cannot_release_unconfirmed_deliveries(letters: Letters, action: object) -> None:
    await letters.post(DRAFT, NOW)
    ids = [each.id for each in await Delivery.exclude(occasion=Occasion.CONFIRMATION)]
    await TRANSITIONS[action](ids, NOW)  # type: ignore[index]
    assert await _statuses() in (UNCONFIRMED, CANCELLED)


@pytest.mark.parametrize("status", ["scheduled", "sent", "failed"])
async def test_a_constraint_forbids_sending_unconfirmed_deliveries(letters: Letters, status: str) -> None:
    await letters.post(DRAFT, NOW)
    sent = "sent_at = status_at," if status == "sent" else ""
    with pytest.raises(Exception, match="deliveries_held_reason"):
        await connection().execute_query(
            f"UPDATE deliveries SET {sent} status = '{status}', held_reason = NULL WHERE occasion = 'first'"
        )


async def test_the_receipt_of_a_withdrawn_letter_is_cancelled(letters: Letters, cipher: LetterCipher) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await letters.withdraw(token, NOW)
    await confirm(await _link(cipher), NOW + HOUR)
    assert await _statuses() == CANCELLED


async def test_a_stopped_and_resumed_unconfirmed_letter_still_waits(letters: Letters, cipher: LetterCipher) -> None:
    await letters.post(TO_READER, NOW)
    letter = await Letter.get()
    reader = cipher.reader_token(letter.id, letter.recipient_hmac)
    await stop(reader, NOW + HOUR)
    assert await _statuses() == CANCELLED
    await resume(reader, NOW + 2 * HOUR)
    assert await _statuses() == UNCONFIRMED


async def test_an_unknown_link_confirms_nothing(letters: Letters) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    for unknown in (token, new_token(), ""):
        with pytest.raises(LetterNotFound):
            await confirm(unknown, NOW)
    assert await _statuses() == UNCONFIRMED


async def test_a_letter_posted_during_a_confirmation_is_released_or_asked_about(
    letters: Letters, cipher: LetterCipher
) -> None:
    await letters.post(DRAFT, NOW)
    link = await _link(cipher)
    await asyncio.gather(confirm(link, NOW + HOUR), *(letters.post(DRAFT, NOW + HOUR) for _ in range(4)))
    waiting = await Delivery.filter(held_reason=HeldReason.UNCONFIRMED).count()
    assert len(await _confirmation_mails()) == (2 if waiting else 1)


# A corrected address


async def test_a_corrected_reader_is_asked_and_the_old_one_is_not(
    letters: Letters, confirmations: Confirmations, cipher: LetterCipher
) -> None:
    """Another letter that waited for the cancelled mail gets its own."""
    token = (await letters.post(TO_READER, NOW)).token
    other = (await letters.post(TO_READER, NOW)).token
    corrections = Corrections(cipher, None, confirmations, confirmed=True)
    await corrections.correct_by_token(token, "sujin@right.example", None, NOW + HOUR)
    corrected, waiting = [await Letter.get(token_hash=token_hash(each)) for each in (token, other)]
    gone, new, again = await _confirmation_mails()
    assert (gone.status, gone.letter_id) == (Status.CANCELLED, corrected.id)
    assert (new.letter_id, new.edition, new.domain_hmac) == (corrected.id, 2, cipher.domain_hmac("a@right.example"))
    assert (again.letter_id, again.due_at) == (waiting.id, NOW)
    await confirm(cipher.confirmation_token(new.message_id), NOW + 2 * HOUR)
    assert {row.letter_id for row in await Delivery.filter(held_reason=HeldReason.UNCONFIRMED)} == {waiting.id}


@pytest.mark.parametrize(("draft", "asked_again"), [(DRAFT, False), (TO_READER, True)])
async def test_a_confirmed_letter_must_be_confirmed_anew_by_a_new_reader_who_alone_was_asked(
    letters: Letters, confirmations: Confirmations, cipher: LetterCipher, draft: Draft, asked_again: bool
) -> None:
    token = (await letters.post(draft, NOW)).token
    await confirm(await _link(cipher), NOW)
    await Corrections(cipher, None, confirmations, confirmed=True).correct_by_token(
        token, "a@right.example", None, NOW + HOUR
    )
    assert await _statuses() == (UNCONFIRMED if asked_again else RELEASED)
    assert await Confirmation.all().count() == 1 + asked_again
    assert await Letter.filter(confirmed_at=None).count() == asked_again
