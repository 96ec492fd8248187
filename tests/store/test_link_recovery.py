"""Mailing a writer the links of their letters, on both databases."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from app.domain.letter import Draft
from app.domain.status import Occasion, Status
from app.store.audit import audit
from app.store.cipher import LetterCipher
from app.store.claims import claim
from app.store.letters import Letters
from app.store.link_recovery import MOST, letters_of, send_links
from app.store.models import Delivery, Letter
from app.store.retention import erase
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, new_worker

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
DRAFT = Draft(recipient_email=READER, body="Dear you", sender_email=WRITER)


async def _ask(cipher: LetterCipher, address: str, now: object = NOW) -> None:
    await send_links(cipher, address, "slow.test", now)  # type: ignore[arg-type]


async def test_one_notice_a_day_belongs_to_the_newest_letter_and_brings_them_all(
    letters: Letters, cipher: LetterCipher
) -> None:
    for n in range(3):
        await letters.post(DRAFT, NOW + n * timedelta(seconds=1))
    for asked in (NOW, NOW + DAY / 2, NOW + DAY):
        await _ask(cipher, "JUN@example.net", asked)
    newest = await Letter.all().order_by("-id").first()
    rows = await Delivery.filter(occasion=Occasion.LINKS).order_by("id")
    assert newest
    assert [(row.letter_id, row.edition, row.due_at) for row in rows] == [
        (newest.id, 1, NOW),
        (newest.id, 2, NOW + DAY),
    ]
    assert {row.domain_hmac for row in rows} == {cipher.domain_hmac(WRITER)}
    claims = await claim(await new_worker(), uuid4(), NOW + DAY, 9, notices=True)
    assert [len(each.others) for each in claims if each.occasion is Occasion.LINKS] == [3, 3]
    assert {each.addressee for each in claims} == {"sender"}
    assert (await audit()).adds_up


@pytest.mark.parametrize("address", [READER, "jun+x@example.net", "nobody@example.net"])
async def test_no_other_address_gets_a_mail(letters: Letters, cipher: LetterCipher, address: str) -> None:
    await letters.post(DRAFT, NOW)
    await _ask(cipher, address)
    assert not await Delivery.filter(occasion=Occasion.LINKS).exists()


async def test_an_address_with_another_tag_gets_its_own_letters_only(letters: Letters, cipher: LetterCipher) -> None:
    await letters.post(DRAFT, NOW)
    await letters.post(replace(DRAFT, sender_email="jun+x@example.net"), NOW + timedelta(seconds=1))
    await _ask(cipher, WRITER)
    (asked,) = await Delivery.filter(occasion=Occasion.LINKS)
    oldest = await Letter.all().order_by("id").first()
    assert oldest
    assert asked.letter_id == oldest.id


async def test_purged_and_unconfirmed_letters_are_not_listed(letters: Letters, cipher: LetterCipher) -> None:
    address_hmac = cipher.address_hmac(WRITER)
    tokens = [(await letters.post(DRAFT, NOW)).token for _ in range(3)]
    await erase(tokens[0], NOW)
    assert len(await letters_of(address_hmac)) == 2
    one = await Delivery.filter(occasion=Occasion.FIRST, status=Status.SCHEDULED).first()
    assert one
    held = {"status": Status.HELD, "held_reason": "unconfirmed", "awaited_hmac": address_hmac}
    await Delivery.filter(id=one.id).update(**held)
    (left,) = await letters_of(address_hmac)
    assert str(left["id"]) != str(one.letter_id)


async def test_the_mail_names_no_more_than_the_newest(letters: Letters, cipher: LetterCipher) -> None:
    token = (await letters.post(DRAFT, NOW)).token
    model = await Letter.first()
    assert model
    copies = [model.clone(pk=uuid4()) for _ in range(MOST + 5)]
    for each in copies:
        each.token_hash = each.id.hex
    await Letter.bulk_create(copies)
    assert len(await letters_of(cipher.address_hmac(WRITER))) == MOST
    assert token
