"""The page of one delivery: its envelope and its history, and nothing of the letter."""

import re
from datetime import timedelta

import httpx
import pytest

from app.domain.status import AttemptResult, Occasion, Status
from app.store.cipher import LETTER_COLUMNS
from app.store.models import Delivery, Letter
from tests.clock import NEW_YEAR as NOW
from tests.web.admin.browser import Desk

pytestmark = pytest.mark.anyio


async def _page(operator: httpx.AsyncClient, delivery: Delivery) -> str:
    return (await operator.get(f"/admin/deliveries/{delivery.id}")).text


async def test_a_delivery_tells_its_envelope_and_every_try(desk: Desk, operator: httpx.AsyncClient) -> None:
    failed = await desk.ledger.add(Status.FAILED, NOW)
    await desk.ledger.attempt(failed, AttemptResult.TRANSIENT, 450, "slow <b>down</b>")
    await desk.ledger.attempt(failed, AttemptResult.PERMANENT, 550, "nobody")
    second = await Delivery.get(id=(await desk.ledger.add(Status.SCHEDULED, NOW, occasion=Occasion.SECOND)).id)
    await Delivery.filter(id=second.id).update(letter_id=failed.letter_id)
    text = await _page(operator, failed)
    for shown in ("m…@example.org", "j…@example.net", "&lt;1@example.org&gt;", "Thu 8 Jan 2026, 18:30", "en, UTC"):
        assert shown in text
    assert text.index("450 4.2.1 slow &lt;b&gt;down") < text.index("550 4.2.1 nobody")
    assert "Thu 1 Jan 2026, 18:30:00" in text
    assert f'href="/admin/deliveries/{second.id}"' in text
    assert f'href="/admin/deliveries/{failed.id}"' not in text
    assert not re.search("secret|minji|jun@", text)


async def test_who_carries_it_at_this_moment_is_named(desk: Desk, operator: httpx.AsyncClient) -> None:
    claimed = await desk.ledger.add(Status.CLAIMED, NOW)
    assert "worker, since Thu 1 Jan 2026, 18:30" in await _page(operator, claimed)
    assert "Handed over" not in await _page(operator, claimed)
    await Delivery.filter(id=claimed.id).update(handed_over_at=NOW + timedelta(minutes=1))
    assert "Handed over" in await _page(operator, claimed)


async def test_a_purged_letter_still_has_its_dates(desk: Desk, operator: httpx.AsyncClient) -> None:
    sent = await desk.ledger.add(Status.SENT, NOW)
    emptied = dict.fromkeys((f"{column}_sealed" for column in LETTER_COLUMNS), None)
    await Letter.filter(id=sent.letter_id).update(purged_at=NOW, **emptied)
    text = await _page(operator, sent)
    assert text.count("no longer stored") == 2
    assert "Text and addresses deleted" in text


@pytest.mark.parametrize(
    "number", ["0", "999", str(2**63), "9" * 5000, "٣", "one", "00000000-0000-4000-8000-000000000000"]
)
async def test_there_is_no_page_for_no_delivery(operator: httpx.AsyncClient, number: str) -> None:
    answer = await operator.get(f"/admin/deliveries/{number}")
    assert (answer.status_code, '<a class="button" href="/admin">' in answer.text) == (404, True)


async def test_every_word_is_korean_for_a_korean(desk: Desk, operator: httpx.AsyncClient) -> None:
    for status in Status:
        delivery = await desk.ledger.add(status, NOW)
        await Letter.filter(id=delivery.letter_id).update(stopped_at=NOW, second_send_at=NOW + timedelta(days=30))
        await Delivery.filter(id=delivery.id).update(first_refused_at=NOW, due_at=NOW + timedelta(days=1))
        page = await operator.get(f"/admin/deliveries/{delivery.id}", headers={"Accept-Language": "ko"})
        main = re.sub("<[^>]*>", " ", page.text[page.text.index("<main") :])
        words = set(re.findall("[A-Za-z]{2,}", main)) - {"example", "org", "net", "Asia", "Seoul", "ID"}
        assert words <= {"UTC", "en", "lt", "gt", "worker"}
