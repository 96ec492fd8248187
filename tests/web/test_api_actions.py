"""A letter's preview, export, erasure and attempts in JSON."""

import httpx
import pytest

from app.domain.status import AttemptResult, Status
from app.store.models import Delivery, Letter
from app.wiring import Services
from tests.ledger import Ledger, new_worker
from tests.web.requests import LETTER, posted

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_a_letter_is_looked_at_and_nothing_is_stored(client: httpx.AsyncClient) -> None:
    letter = LETTER | {"subject": "The sea", "timezone": "Asia/Seoul", "second_arrival": "none"}
    look = (await client.post("/api/letters/look", json=letter, headers={"Accept-Language": "ko"})).json()
    assert (look["subject"], look["send_at"], look["second_send_at"]) == ("The sea", "2026-01-08T09:30:00Z", None)
    assert LETTER["body"] in look["text"]
    assert '<html lang="ko">' in look["html"]
    assert (await client.post("/api/letters/look", json=LETTER | {"body": ""})).json()["errors"].keys() == {"body"}
    assert await Letter.all().count() == 0


async def test_what_is_kept_is_downloaded_and_erased(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    kept = (await client.get(f"/api/letters/{token}/export")).json()
    assert kept["body"] == LETTER["body"]
    assert kept == (await client.get(f"/letters/{token}/export")).json()
    worker = await new_worker()
    await Delivery.filter(occasion="first").update(status=Status.CLAIMED, claim_token=worker, claimed_by_id=worker)
    answer = await client.post(f"/api/letters/{token}/erase")
    assert (answer.status_code, answer.json()["title"]) == (409, "It is being sent right now")
    await Delivery.filter(occasion="first").update(status=Status.SCHEDULED, claim_token=None, claimed_by_id=None)
    assert (await client.post(f"/api/letters/{token}/erase")).status_code == 204
    assert (await client.get(f"/api/letters/{token}")).status_code == 404
    assert (await Letter.get()).purged_at


async def test_what_the_mail_server_said_is_told(client: httpx.AsyncClient, services: Services) -> None:
    token = await posted(client)
    first = await Delivery.filter(occasion="first").get()
    await Ledger(services.cipher).attempt(first, AttemptResult.TRANSIENT, 450, "busy")
    said = [each["last_reply"] for each in (await client.get(f"/api/letters/{token}")).json()["deliveries"]]
    assert said == [{"code": 450, "enhanced": "4.2.1", "text": "busy"}, None]
