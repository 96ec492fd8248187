"""docs/standards.md P14: the writer may have all that is kept, and have it forgotten at once."""

import re
from pathlib import Path

import httpx
import pytest

from app.domain.status import Status
from app.store.models import Delivery, Letter, Worker
from app.wiring import Services
from tests.clock import FrozenClock
from tests.web.requests import LETTER, posted
from tests.web.server import deliver

pytestmark = pytest.mark.anyio


async def test_the_letters_page_leads_to_both(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    page = (await client.get(f"/letters/{token}")).text
    assert f'href="/letters/{token}/export"' in page
    assert f'href="/letters/{token}/erase"' in page


async def test_all_that_is_kept_is_a_download(
    client: httpx.AsyncClient, services: Services, clock: FrozenClock
) -> None:
    token = await posted(client, subject="The sea")
    clock.advance(services.settings.edit_window)
    answer = await client.get(f"/letters/{token}/export")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="letter.json"'
    assert answer.headers["cache-control"] == "no-store"
    kept = answer.json()
    assert (kept["subject"], kept["recipient_email"], kept["body"]) == ("The sea", LETTER["recipient_email"], None)
    assert LETTER["body"] not in answer.text
    await Delivery.filter(occasion="first").update(status=Status.SENT, sent_at=services.clock.now())
    assert (await client.get(f"/letters/{token}/export")).json()["body"] == LETTER["body"]


async def test_a_letter_is_erased_after_a_question(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    question = await client.get(f"/letters/{token}/erase")
    assert "Erase the letter?" in question.text
    assert await Letter.exclude(purged_at=None).count() == 0
    answer = await client.post(f"/letters/{token}/erase")
    assert answer.status_code == 200
    assert "is erased" in answer.text
    assert await Letter.exclude(purged_at=None).count() == 1
    assert await Delivery.filter(status=Status.CANCELLED).count() == 2
    for path in ("", "/erase", "/export", "/withdraw"):
        assert (await client.get(f"/letters/{token}{path}")).status_code == 404
    assert (await client.post(f"/letters/{token}/erase")).status_code == 404


async def test_its_copies_in_the_outbox_go_with_it_and_no_others(
    client: httpx.AsyncClient, services: Services, tmp_path: Path
) -> None:
    tokens = [await posted(client, sender_email="jun@example.net") for _ in range(2)]
    await deliver(client)
    folder = tmp_path / "outbox"
    assert len(list(folder.glob("*.eml"))) == 2
    assert (await client.post(f"/letters/{tokens[0]}/erase")).status_code == 200
    assert services.outbox
    (left,) = services.outbox.entries(10)
    assert tokens[1] in services.outbox.read(left.name).text


async def test_a_letter_on_its_way_is_not_erased_and_says_so(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    worker = (await Worker.all())[0].id
    await Delivery.filter(occasion="first").update(status=Status.CLAIMED, claim_token=worker, claimed_by_id=worker)
    answer = await client.post(f"/letters/{token}/erase")
    assert answer.status_code == 409
    assert "being sent right now" in answer.text
    assert (await client.get(f"/letters/{token}")).status_code == 200
    await Delivery.filter(occasion="first").update(status=Status.SCHEDULED, claim_token=None, claimed_by_id=None)


@pytest.mark.parametrize("path", ["erase", "withdraw"])
async def test_the_questions_are_asked_in_korean_too(client: httpx.AsyncClient, path: str) -> None:
    token = await posted(client)
    page = (await client.get(f"/letters/{token}/{path}", headers={"Accept-Language": "ko"})).text
    assert set(re.findall(r"[A-Za-z]{4,}", re.sub(r"<[^>]+>", "", page))) <= {"English"}


async def test_a_forged_request_erases_nothing(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    answer = await client.post(f"/letters/{token}/erase", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert await Letter.exclude(purged_at=None).count() == 0
