"""The same in JSON."""

import httpx
import pytest

from app.domain.status import Status
from app.store.models import Delivery, Letter
from app.wiring import Services
from tests.web.requests import LETTER, asking

pytestmark = pytest.mark.anyio


async def test_a_letter_is_posted_looked_up_and_cancelled(client: httpx.AsyncClient, services: Services) -> None:
    answer = await client.post("/api/letters", json=LETTER | {"subject": "The sea", "timezone": "Asia/Seoul"})
    assert answer.status_code == 201
    posted = answer.json()
    token = posted["token"]
    assert answer.headers["location"] == f"/api/letters/{token}"
    assert posted == {
        "token": token,
        "url": f"http://127.0.0.1:8000/letters/{token}",
        "send_at": "2026-01-08T09:30:00Z",
        "second_send_at": "2026-01-31T09:30:00Z",
        "status": "scheduled",
    }
    assert (await services.letters.find(token)).draft.subject == "The sea"

    found = (await client.get(f"/api/letters/{token}")).json()
    deliveries = found.pop("deliveries")
    assert found.pop("sealed_at") == "2026-01-01T10:30:00Z"
    text = {"body": LETTER["body"], "subject": "The sea", "recipient_name": "", "sender_name": ""}
    assert found.pop("text") == text
    written = {"recipient_email": LETTER["recipient_email"], "timezone": "Asia/Seoul"}
    assert {name: found.pop(name) for name in written} == written
    assert found.pop("written_at") == "2026-01-01T09:30:00Z"
    assert found == posted
    assert [delivery["occasion"] for delivery in deliveries] == ["first", "second"]
    assert deliveries[0] == {
        "occasion": "first",
        "status": "scheduled",
        "promised_at": "2026-01-08T09:30:00Z",
        "due_at": "2026-01-08T09:30:00Z",
        "sent_at": None,
        "held_reason": None,
        "attempts": 0,
        "last_reply": None,
        "reason": None,
    }
    answer = await client.delete(f"/api/letters/{token}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get(f"/api/letters/{token}")).json()["status"] == "cancelled"
    assert (await client.delete(f"/api/letters/{token}")).status_code == 204


async def test_what_has_left_is_not_cancelled(client: httpx.AsyncClient, services: Services) -> None:
    token = (await client.post("/api/letters", json=LETTER)).json()["token"]
    await Delivery.all().update(status=Status.SENT, sent_at=services.clock.now())
    answer = await client.delete(f"/api/letters/{token}")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_unknown_letter_is_not_found(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/api/letters/nothing"), await client.delete("/api/letters/nothing")):
        assert answer.status_code == 404
        assert answer.json()["title"] == "Page not found"


@pytest.mark.parametrize(
    ("letter", "errors"),
    [
        ({}, {"recipient_email": "Please enter", "body": "still empty"}),
        (LETTER | {"recipient_email": "a@b.org, c@d.org"}, {"recipient_email": "exactly one"}),
        (LETTER | {"body": "\u0000"}, {"body": "control character"}),
        (LETTER | {"subject": 7, "body": None}, {"subject": "must be text", "body": "must be text"}),
        (LETTER | {"recipent_name": "x"}, {"recipent_name": "field is unknown"}),
        (LETTER | {"timezone": "Mars"}, {"timezone": "not a known time zone"}),
        ([], {"": "not a JSON object"}),
        ("letter", {"": "not a JSON object"}),
    ],
)
async def test_what_is_wrong_is_said_by_field(
    client: httpx.AsyncClient, letter: object, errors: dict[str, str]
) -> None:
    answer = await client.post("/api/letters", json=letter)
    assert answer.status_code == 422
    said = answer.json()["errors"]
    assert set(said) == set(errors)
    assert all(words in said[name] for name, words in errors.items())
    assert await Letter.all().count() == 0


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b'{"recipient_email": "a@b.org", "body": "\\ud800"}', "application/json", 422),
        (b'{"recipient_email": "a@b.org", "body": "\xff"}', "application/json", 400),
        (b"[" * 40_000, "application/json", 400),
        (b"[" * 100_000, "application/json", 413),
        (b'{"body": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"body": "x", "recipient_email": "a@b.org", "body": "y"}', "application/json", 422),
        (b"NaN", "application/json", 422),
        (b"", "application/json", 422),
        (b'{"recipient_email": "a@b.org", "body": "x"}', "text/plain", 422),
        (b"a" * 1_100_000, "application/json", 413),
    ],
)
async def test_a_body_that_is_no_letter(client: httpx.AsyncClient, content: bytes, kind: str, status: int) -> None:
    answer = await client.post("/api/letters", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert await Letter.all().count() == 0


async def test_errors_speak_the_callers_language(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/letters", json={}, headers={"Accept-Language": "ko"})
    assert answer.json()["errors"]["body"] == "편지가 아직 비어 있어요. 한 줄이어도 괜찮아요."


async def test_links_are_built_from_the_configured_address_alone(services: Services) -> None:
    settings = services.settings.model_copy(update={"base_url": "https://letters.example.org"})
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "Forwarded": "host=evil.example"}
    async with asking(services, settings=settings) as client:
        answer = await client.post("/api/letters", json=LETTER, headers=headers)
    assert answer.json()["url"].startswith("https://letters.example.org/letters/")
