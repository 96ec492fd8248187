"""No more letters are taken in a day than the quotas say, on both databases and by several at once."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import Occasion, Status
from app.errors import TooMany
from app.store.audit import audit
from app.store.database import connection
from app.store.letters import Letters
from app.store.models import Delivery, Letter
from app.store.quotas import Quotas
from app.store.row_ids import lowest_row_id, new_row_id
from app.store.vault import Vault
from tests.clock import NEW_YEAR as NOW

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
DRAFT = Draft(recipient_email="minji@example.org", body="Dear you")
WIDE = Quotas(reader=1000, domain=1000, writer=1000, everybody=1000)


def _letters(vault: Vault, quotas: Quotas) -> Letters:
    return Letters(
        vault, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain="slow.test", quotas=quotas
    )


async def _taken(letters: Letters, drafts: list[Draft]) -> int:
    """Post all at once and return how many were taken; nothing but TooMany may happen to the others."""
    ends = await asyncio.gather(*(letters.post(draft, NOW) for draft in drafts), return_exceptions=True)
    assert all(isinstance(end, TooMany) for end in ends if isinstance(end, BaseException))
    return sum(not isinstance(end, BaseException) for end in ends)


async def test_mail_bombing_one_address_stores_what_the_quota_says(vault: Vault) -> None:
    """A thousand letters at once, under every spelling of the one address."""
    spellings = ["minji@example.org", "MinJi@Example.org", "minji+{}@example.org", "MINJI+sea.{}@example.org"]
    drafts = [replace(DRAFT, recipient_email=spellings[n % 4].format(n)) for n in range(1000)]
    assert await _taken(_letters(vault, Quotas()), drafts) == Quotas().reader
    assert await Letter.all().count() == Quotas().reader
    assert await Delivery.all().count() == 2 * Quotas().reader
    assert (await audit()).adds_up


@pytest.mark.parametrize(
    ("quotas", "drafts"),
    [
        (replace(WIDE, domain=5), [replace(DRAFT, recipient_email=f"{n}@example.org") for n in range(8)]),
        (
            replace(WIDE, writer=5),
            [replace(DRAFT, recipient_email=f"r@{n}.org", sender_email=f"jun+{n}@example.net") for n in range(8)],
        ),
        (replace(WIDE, everybody=5), [replace(DRAFT, recipient_email=f"r@{n}.org") for n in range(8)]),
    ],
    ids=["domain", "writer", "everybody"],
)
async def test_each_quota_counts_for_itself(vault: Vault, quotas: Quotas, drafts: list[Draft]) -> None:
    letters = _letters(vault, quotas)
    for draft in drafts[:5]:
        await letters.post(draft, NOW)
    answers = []
    for draft in drafts[5:]:
        with pytest.raises(TooMany) as refused:
            await letters.post(draft, NOW)
        answers.append((str(refused.value), refused.value.seconds))
    assert set(answers) == {("this is more than we take at once", 3600)}
    assert await Letter.all().count() == 5


async def _receipts() -> dict[Status, int]:
    return Counter(receipt.status for receipt in await Delivery.filter(occasion=Occasion.RECEIPT))


async def test_nobody_gets_more_than_a_few_receipts_a_day_for_letters_in_their_name(vault: Vault) -> None:
    """All letters are taken, and nobody is told that there were others."""
    letters = _letters(vault, Quotas(receipts=3))
    drafts = [replace(DRAFT, recipient_email=f"r@{n}.org", sender_email=f"jun+{n}@example.net") for n in range(8)]
    assert await _taken(letters, drafts) == 8
    assert await _receipts() == {Status.SCHEDULED: 3, Status.CANCELLED: 5}
    await letters.post(replace(DRAFT, sender_email="sujin@example.net"), NOW)
    await letters.post(drafts[0], NOW + DAY + SECOND)
    assert await _receipts() == {Status.SCHEDULED: 5, Status.CANCELLED: 5}
    assert await Delivery.filter(notice=False, status=Status.SCHEDULED).count() == 20
    assert (await audit()).adds_up


async def test_after_a_day_there_is_room_again_and_others_were_never_in_the_way(vault: Vault) -> None:
    letters = _letters(vault, replace(WIDE, reader=2))
    await letters.post(DRAFT, NOW - DAY)
    await letters.post(DRAFT, NOW - SECOND)
    await letters.post(DRAFT, NOW + SECOND)
    with pytest.raises(TooMany):
        await letters.post(DRAFT, NOW + 2 * SECOND)
    await letters.post(replace(DRAFT, recipient_email="sujin@example.org"), NOW + 2 * SECOND)
    await letters.post(DRAFT, NOW + DAY)


async def test_the_ids_are_in_the_order_of_writing() -> None:
    ids = [new_row_id(NOW + n * SECOND) for n in range(50)]
    assert ids == sorted(ids)
    assert all(lowest_row_id(NOW + n * SECOND) <= each for n, each in enumerate(ids))
    assert all(lowest_row_id(NOW + (n + 1) * SECOND) > each for n, each in enumerate(ids))


async def test_counting_reads_no_more_than_the_quotas(vault: Vault) -> None:
    """Twenty thousand older letters to the same address and domain cost a post next to nothing."""
    letters = _letters(vault, replace(WIDE, everybody=10_000))
    await letters.post(DRAFT, NOW - 2 * DAY)
    model = await Letter.first()
    assert model
    old = [model.clone(pk=new_row_id(NOW - 2 * DAY + n * timedelta(milliseconds=1))) for n in range(20_000)]
    for each in old:
        each.token_hash = each.id.hex
    await Letter.bulk_create(old, batch_size=500)
    await connection().execute_query("ANALYZE")
    seconds = []
    for n in range(20):
        began = time.perf_counter()
        await letters.post(DRAFT, NOW + n * SECOND)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1
