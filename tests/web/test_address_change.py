"""Correcting a letter's address on its page and as JSON: a form, a question, and clear words where it is too late."""

from uuid import uuid4

import httpx
import pytest

from app.domain.status import Occasion, Status
from app.store.claims import claim
from app.store.models import Delivery, Letter
from app.wiring import Services
from tests.ledger import new_worker
from tests.web.requests import posted

pytestmark = pytest.mark.anyio

NEW = {"recipient_email": "minji@right.example", "recipient_name": "Minji"}
SURE = NEW | {"sure": "yes"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
async def token(client: httpx.AsyncClient) -> str:
    return await posted(client, recipient_name="Sujin")


async def _address(services: Services, token: str) -> str:
    return (await services.letters.find(token)).draft.recipient_email


async def test_a_form_leads_to_a_question_and_that_to_the_letter(
    client: httpx.AsyncClient, services: Services, token: str
) -> None:
    path = f"/letters/{token}/address"
    assert f'href="{path}"' in (await client.get(f"/letters/{token}")).text
    form = await client.get(path)
    assert 'value="Sujin"' in form.text
    question = await client.post(path, data=NEW)
    assert (question.status_code, await _address(services, token)) == (200, "sujin@example.org")
    assert "minji@right.example" in question.text
    assert 'name="sure" value="yes"' in question.text
    answer = await client.post(path, data=SURE)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/letters/{token}")
    assert await _address(services, token) == "minji@right.example"
    assert "minji@right.example" in (await client.get(f"/letters/{token}")).text


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(
    "typed",
    [{}, {"recipient_email": "a@b@c"}, {"recipient_email": "sujin@example.org"}, NEW | {"recipient_name": "\n"}],
)
async def test_what_is_wrong_is_said_beside_the_field_and_kept(
    client: httpx.AsyncClient, services: Services, token: str, typed: dict[str, str], language: str
) -> None:
    headers = {"Accept-Language": language}
    answer = await client.post(f"/letters/{token}/address", data=typed | {"sure": "yes"}, headers=headers)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert typed.get("recipient_email", "") in answer.text
    assert await _address(services, token) == "sujin@example.org"


async def test_too_late_and_just_now_are_told_apart(client: httpx.AsyncClient, services: Services, token: str) -> None:
    first = await Delivery.get(occasion=Occasion.FIRST)
    await claim(await new_worker(), uuid4(), first.due_at, 1, notices=False)
    leaving = await client.post(f"/letters/{token}/address", data=SURE)
    assert (leaving.status_code, "nothing was changed" in leaving.text) == (409, True)
    now = services.clock.now()
    gone = {"claim_token": None, "claimed_by_id": None, "status": Status.SENT, "sent_at": now}
    await Delivery.all().update(**gone)
    for answer in (
        await client.get(f"/letters/{token}/address"),
        await client.post(f"/letters/{token}/address", data=SURE),
    ):
        assert (answer.status_code, "too late to change the address" in answer.text) == (409, True)
    assert "/address" not in (await client.get(f"/letters/{token}")).text


async def test_a_full_quota_keeps_what_was_typed(client: httpx.AsyncClient, token: str) -> None:
    for number in range(5):
        answer = await client.post(f"/letters/{token}/address", data=SURE | {"recipient_email": f"a@{number}.org"})
        assert answer.status_code == 303
    answer = await client.post(f"/letters/{token}/address", data=SURE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "86400")
    assert 'value="minji@right.example"' in answer.text


async def test_it_is_the_same_as_json(client: httpx.AsyncClient, services: Services, token: str) -> None:
    path = f"/api/letters/{token}/address"
    answer = await client.put(path, json={"recipient_email": "minji@right.example"})
    assert (answer.status_code, answer.json()["status"]) == (200, "scheduled")
    draft = (await services.letters.find(token)).draft
    assert (draft.recipient_email, draft.recipient_name) == ("minji@right.example", "Sujin")
    await client.put(path, json={"recipient_email": "a@right.example", "recipient_name": ""})
    assert (await services.letters.find(token)).draft.recipient_name == ""
    wrong = await client.put(path, json={"recipient_email": "a@right.example"})
    assert (wrong.status_code, list(wrong.json()["errors"])) == (422, ["recipient_email"])
    await Delivery.all().update(status=Status.CANCELLED)
    late = await client.put(path, json=NEW)
    assert (late.status_code, late.json()["title"]) == (409, "It is too late to change the address")
    assert (await client.put("/api/letters/nothing/address", json=NEW)).status_code == 404


async def test_the_page_that_tells_of_a_refusal_leads_here(client: httpx.AsyncClient, token: str) -> None:
    await Delivery.filter(occasion=Occasion.FIRST).update(status=Status.FAILED)
    page = (await client.get(f"/letters/{token}")).text
    assert f"/letters/{token}/address" in page
    await client.post(f"/letters/{token}/address", data=SURE)
    assert await Delivery.filter(status=Status.SCHEDULED).count() == 2
    assert await Letter.all().count() == 1
