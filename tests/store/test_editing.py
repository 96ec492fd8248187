"""Editing a letter until it is sealed, and no later."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from tortoise.exceptions import IntegrityError

from app.crypto import new_token, token_hash
from app.domain.letter import Draft
from app.domain.schedule import Delay, Promise
from app.domain.status import HeldReason, Occasion, Status
from app.errors import EditWindowClosed, LetterNotFound
from app.store.audit import audit
from app.store.cipher import LetterCipher
from app.store.editing import LetterEditor
from app.store.export import export
from app.store.letters import Letters
from app.store.models import Delivery, Letter
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, claim_due, new_worker

pytestmark = pytest.mark.anyio

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DRAFT = Draft(recipient_email=READER, sender_email=WRITER, body="Dear you", subject="Then", language="ko")
OTHER = replace(
    DRAFT, body="Dear you,\nagain", subject="", recipient_name="민지", sender_name="준", timezone="Asia/Seoul"
)
LATER = Promise(NOW + 3 * DAY, NOW + 400 * DAY)


@pytest.fixture
def letters(cipher: LetterCipher) -> Letters:
    """Letters that can be edited for an hour."""
    first, second = Delay(days=7), Delay(days=30)
    return Letters(cipher, first_delay=first, second_delay=second, message_domain="slow.test", edit_window=HOUR)


@pytest.fixture
def editor(cipher: LetterCipher) -> LetterEditor:
    return LetterEditor(cipher, "slow.test")


async def _id(token: str) -> UUID:
    return (await Letter.get(token_hash=token_hash(token))).id


async def _rows() -> list[dict[str, object]]:
    return [*await Letter.all().order_by("id").values(), *await Delivery.all().order_by("id").values()]


async def test_a_letter_is_edited_with_its_deliveries(letters: Letters, editor: LetterEditor) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await editor.edit(token, OTHER, LATER, NOW + HOUR / 2)
    found = await letters.find(token)
    assert found.draft == OTHER
    assert (found.written_at, found.sealed_at) == (NOW, NOW + HOUR)
    assert [(each.promised_at, each.due_at, each.status) for each in found.deliveries] == [
        (LATER.first, LATER.first, Status.SCHEDULED),
        (LATER.second, LATER.second, Status.SCHEDULED),
    ]
    assert (await audit()).adds_up


async def test_the_second_delivery_can_be_removed_and_added_again(letters: Letters, editor: LetterEditor) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await editor.edit(token, DRAFT, Promise(NOW + DAY, None), NOW)
    assert [each.occasion for each in (await letters.find(token)).deliveries] == [Occasion.FIRST]
    assert (await audit()).adds_up
    await editor.edit(token, DRAFT, LATER, NOW)
    found = await letters.find(token)
    assert [each.promised_at for each in found.deliveries] == [LATER.first, LATER.second]
    assert len(set(await Delivery.all().values_list("message_id", flat=True))) == 3
    assert (await audit()).adds_up


async def _receipts() -> list[tuple[int, Status, datetime]]:
    receipts = Delivery.filter(occasion=Occasion.RECEIPT).order_by("edition")
    return [(each.edition, each.status, each.due_at) for each in await receipts]


async def test_another_receipt_with_the_new_dates_is_sent_once_the_letter_is_sealed(
    letters: Letters, editor: LetterEditor
) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await editor.edit(token, DRAFT, LATER, NOW)
    assert await _receipts() == [(1, Status.SCHEDULED, NOW)], "it has not left, and will name these days"
    await Delivery.filter(occasion=Occasion.RECEIPT).update(status=Status.SENT, sent_at=NOW)
    await editor.edit(token, replace(DRAFT, body="Anew"), LATER, NOW)
    assert len(await _receipts()) == 1, "the days are the same"
    for promise in (Promise(NOW + 2 * DAY, None), LATER):
        await editor.edit(token, DRAFT, promise, NOW)
        assert await _receipts() == [(1, Status.SENT, NOW), (2, Status.SCHEDULED, NOW + HOUR)]
    await letters.withdraw(token, NOW)
    assert [status for _, status, _ in await _receipts()] == [Status.SENT, Status.CANCELLED]


@pytest.mark.parametrize("occasion", list(Occasion)[:2])
async def test_a_claimed_delivery_is_sent_unchanged(letters: Letters, editor: LetterEditor, occasion: Occasion) -> None:
    """Either delivery, since an operator may send each at once."""
    token = (await letters.post(DRAFT, NOW)).token
    await Delivery.filter(occasion=occasion).update(due_at=NOW)
    assert [claimed.occasion for claimed in await claim_due(await new_worker())] == [occasion]
    before = await _rows()
    for promise in (LATER, Promise(LATER.first, None)):
        with pytest.raises(EditWindowClosed):
            await editor.edit(token, OTHER, promise, NOW)
    assert await _rows() == before


@pytest.mark.parametrize(
    "status", [Status.SENT, Status.UNCERTAIN, Status.FAILED, Status.CANCELLED], ids=lambda status: status.value
)
async def test_an_ended_delivery_is_not_changed(letters: Letters, editor: LetterEditor, status: Status) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await Delivery.filter(occasion=Occasion.FIRST).update(status=status, sent_at=NOW if status is Status.SENT else None)
    assert not (await letters.find(token)).is_open(NOW)
    with pytest.raises(EditWindowClosed):
        await editor.edit(token, OTHER, LATER, NOW)
    assert (await letters.find(token)).draft == DRAFT


async def test_a_sealed_letter_is_neither_shown_nor_edited(
    letters: Letters, editor: LetterEditor, cipher: LetterCipher
) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    before = await _rows()
    for moment, is_open in ((NOW, True), (NOW + HOUR - timedelta(seconds=1), True), (NOW + HOUR, False)):
        assert (await letters.find(token)).is_open(moment) is is_open
        assert (await export(cipher, token, moment))["body"] == (DRAFT.body if is_open else None)
    with pytest.raises(EditWindowClosed):
        await editor.edit(token, OTHER, LATER, NOW + HOUR)
    assert await _rows() == before


async def test_a_letter_is_sealed_by_its_first_arrival(letters: Letters, editor: LetterEditor) -> None:
    soon = Promise(NOW + HOUR / 4, None)
    token = (await letters.post(DRAFT, NOW, soon)).token
    assert (await letters.find(token)).sealed_at == soon.first
    token = (await letters.post(DRAFT, NOW)).token
    await editor.edit(token, DRAFT, soon, NOW)
    assert (await letters.find(token)).sealed_at == soon.first


async def test_held_deliveries_stay_held_and_an_added_one_is_held_too(letters: Letters, editor: LetterEditor) -> None:
    token = (await letters.post(DRAFT, NOW, Promise(NOW + DAY, None))).token
    first = Delivery.filter(occasion=Occasion.FIRST)
    await first.update(status=Status.HELD, held_reason=HeldReason.UNCONFIRMED, awaited_hmac="m")
    await editor.edit(token, OTHER, LATER, NOW)
    promised = await Delivery.filter(notice=False).values_list("status", "held_reason", "awaited_hmac")
    assert promised == [(Status.HELD, HeldReason.UNCONFIRMED, "m")] * 2


async def test_a_time_chosen_by_the_operator_is_kept(letters: Letters, editor: LetterEditor) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await Delivery.filter(occasion=Occasion.FIRST).update(due_at=NOW + timedelta(minutes=1))
    await editor.edit(token, OTHER, LATER, NOW)
    first = await Delivery.get(occasion=Occasion.FIRST)
    assert (first.promised_at, first.due_at) == (LATER.first, NOW + timedelta(minutes=1))


async def test_old_and_unknown_letters_are_not_edited(letters: Letters, editor: LetterEditor) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await Letter.all().update(sealed_at=None)
    assert not (await letters.find(token)).is_open(NOW)
    with pytest.raises(EditWindowClosed):
        await editor.edit(token, OTHER, LATER, NOW)
    with pytest.raises(LetterNotFound):
        await editor.edit(new_token(), OTHER, LATER, NOW)


@pytest.mark.parametrize("wrong", [NOW - HOUR, NOW + 8 * DAY], ids=["before writing", "after arriving"])
async def test_a_constraint_limits_the_time_of_sealing(letters: Letters, wrong: object) -> None:
    await letters.post(DRAFT, NOW)
    with pytest.raises(IntegrityError):
        await Letter.all().update(sealed_at=wrong)


async def test_an_edited_letter_is_sent_with_its_new_text(
    letters: Letters, editor: LetterEditor, cipher: LetterCipher
) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    await editor.edit(token, OTHER, Promise(NOW + HOUR, None), NOW)
    await Delivery.filter(occasion=Occasion.FIRST).update(due_at=NOW)
    (claimed,) = await claim_due(await new_worker())
    assert cipher.open_letter(claimed.letter)["body"] == OTHER.body
    assert claimed.id == (await Delivery.get(letter_id=await _id(token), occasion=Occasion.FIRST)).id
