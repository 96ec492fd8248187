"""Mails that strangers cause to an address that never confirmed: ten a day, of all kinds together."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from app.domain.letter import Draft
from app.domain.schedule import Delay, Promise
from app.domain.status import Occasion, Status
from app.store.audit import audit
from app.store.cipher import LetterCipher
from app.store.confirmation import Confirmations
from app.store.database import transaction
from app.store.editing import LetterEditor
from app.store.letters import Letters
from app.store.link_recovery import send_links
from app.store.models import Confirmation, Delivery, QuotaCount
from app.store.posting import new_row_id
from app.store.quotas import Quotas
from app.store.settlements import permanent_failure, settle
from tests.clock import NEW_YEAR as NOW
from tests.ledger import claim_due, new_worker
from tests.store.test_settlements import NOBODY, tried

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WRITER = "jun@example.net"
DRAFT = Draft(recipient_email="minji@example.org", body="Dear you")


def _letters(cipher: LetterCipher, quotas: Quotas, *, confirms: bool = False) -> Letters:
    return Letters(
        cipher,
        first_delay=Delay(days=7),
        second_delay=Delay(days=30),
        message_domain="slow.test",
        edit_window=HOUR,
        quotas=quotas,
        confirmations=Confirmations(cipher, "slow.test", quotas) if confirms else None,
    )


def _to(number: int) -> Draft:
    return replace(DRAFT, recipient_email=f"reader{number}@example.org")


async def _receipts() -> dict[Status, int]:
    return Counter(receipt.status for receipt in await Delivery.filter(occasion=Occasion.RECEIPT))


async def _sent_notices() -> dict[Occasion, int]:
    """Return what is sent of each kind of notice."""
    return Counter([each.occasion for each in await Delivery.filter(notice=True).exclude(status=Status.CANCELLED)])


async def _refuse_all(quotas: Quotas, now: datetime) -> None:
    """Refuse all that is due of letters, as a mail server does, with a notice to each writer."""
    worker = await new_worker()
    endings = []
    for claimed in await claim_due(worker):
        notice = Delivery(
            letter_id=UUID(str(claimed.letter["id"])),
            occasion=Occasion.REFUSAL,
            notice=True,
            status=Status.SCHEDULED,
            status_at=now,
            promised_at=now,
            due_at=now,
            message_id=f"<refusal{claimed.id}@slow.test>",
            domain_hmac="d",
        )
        endings.append(permanent_failure(claimed, tried(NOBODY), notice=notice))
    await settle(endings, "worker", quotas)


async def test_letters_in_somebodys_name_bring_them_seven_receipts_and_leave_three_notices(
    cipher: LetterCipher,
) -> None:
    """Fifty letters in one name, each refused: ten mails in all, in whatever order they are settled."""
    quotas = Quotas()
    letters = _letters(cipher, quotas)
    drafts = [replace(_to(n), sender_email=f"jun+{n}@example.net") for n in range(50)]
    await asyncio.gather(*(letters.post(draft, NOW) for draft in drafts))
    assert await _receipts() == {Status.SCHEDULED: 7, Status.CANCELLED: 43}
    await Delivery.filter(occasion=Occasion.FIRST).update(due_at=NOW)
    await _refuse_all(quotas, NOW)
    assert await _sent_notices() == {Occasion.RECEIPT: 7, Occasion.REFUSAL: 3}
    await letters.post(replace(_to(0), sender_email=WRITER), NOW + DAY)
    assert (await _receipts())[Status.SCHEDULED] == 8
    assert (await audit()).adds_up


async def test_a_renewed_receipt_counts_too(cipher: LetterCipher) -> None:
    quotas = Quotas(notices=2)
    letters, editor = _letters(cipher, quotas), LetterEditor(cipher, "slow.test", quotas)
    draft = replace(DRAFT, sender_email=WRITER)
    token = (await letters.post(draft, NOW)).token
    for n in range(3):
        await Delivery.filter(occasion=Occasion.RECEIPT).update(status=Status.SENT, sent_at=NOW)
        promise = Promise(NOW + (8 + n) * DAY, NOW + (40 + n) * DAY)
        await editor.edit(token, draft, promise, NOW)
    assert await _receipts() == {Status.SENT: 2}


async def test_links_and_questions_wait_for_room_and_are_not_lost(cipher: LetterCipher) -> None:
    quotas = Quotas(notices=2)
    letters = _letters(cipher, quotas)
    for n in range(3):
        await letters.post(replace(_to(n), sender_email=WRITER), NOW)
    await send_links(cipher, WRITER, "slow.test", NOW + HOUR, quotas)
    (links,) = await Delivery.filter(occasion=Occasion.LINKS)
    assert links.due_at == NOW + DAY
    await _letters(cipher, quotas, confirms=True).post(replace(DRAFT, sender_email=WRITER), NOW + HOUR)
    (question,) = await Delivery.filter(occasion=Occasion.CONFIRMATION)
    assert question.due_at == NOW + DAY


async def test_an_address_that_confirmed_once_is_told_everything(cipher: LetterCipher) -> None:
    letters = _letters(cipher, Quotas(notices=2))
    await letters.post(replace(DRAFT, sender_email=WRITER), NOW)
    notice = await Delivery.get(occasion=Occasion.RECEIPT)
    await Confirmation.create(
        address_hmac=cipher.address_hmac(WRITER), token_hash="h", notice_id=notice.id, asked_at=NOW, used_at=NOW
    )
    for n in range(5):
        await letters.post(replace(_to(n), sender_email=WRITER), NOW)
    assert await _receipts() == {Status.SCHEDULED: 6}


async def test_notices_are_counted_exactly_by_several_at_once(cipher: LetterCipher) -> None:
    reader = cipher.address_hmac(WRITER)

    async def take() -> int:
        async with transaction():
            await QuotaCount.create(scope=f"begun {new_row_id(NOW)}", minute=0, number=1)
            return sum(await Quotas().take_notices([reader, "b", reader], NOW))

    assert sum(await asyncio.gather(*(take() for _ in range(20)))) == 2 * Quotas().notices
