"""Reading and changing a letter until it is sealed: the pages and the same in JSON."""

import html
import re
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from app.domain.schedule import Delay
from app.store.models import Delivery, Letter
from app.wiring import Services
from tests.clock import FrozenClock
from tests.web.requests import LETTER, asking, posted
from tests.web.server import arrived, deliver, links_in, text_of

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
BODY = LETTER["body"]
CHANGED = {"body": "Dear Sujin,\nthe sea is rough & <b>grey</b>.", "subject": "Rough", "recipient_name": "Sujin"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_the_letter_is_read_and_changed_until_it_is_sealed(
    client: httpx.AsyncClient, services: Services, clock: FrozenClock
) -> None:
    token = await posted(client)
    page = (await client.get(f"/letters/{token}")).text
    assert BODY in page
    assert "until it is sealed on Thursday, 1 January 2026, 19:30" in page
    assert f'href="/letters/{token}/change"' in page
    answer = await client.post(f"/letters/{token}/change", data=CHANGED | {"second_arrival": "none"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/letters/{token}")
    found = await services.letters.find(token)
    assert {name: getattr(found.draft, name) for name in CHANGED} == CHANGED
    assert (found.draft.recipient_email, found.second_send_at) == (LETTER["recipient_email"], None)
    clock.advance(HOUR)
    page = (await client.get(f"/letters/{token}")).text
    assert "the sea is rough" not in page
    assert "not even you" in page
    assert "/change" not in page


async def test_the_form_comes_with_the_letter_and_what_is_sent_unchanged_changes_nothing(
    client: httpx.AsyncClient,
) -> None:
    days = {"first_arrival": "2026-01-20", "second_arrival": "P1Y", "timezone": "Europe/Lisbon"}
    token = await posted(client, **CHANGED, **days, sender_email="jun@example.net")
    before = [*await Letter.all().values("send_at", "second_send_at"), *await Delivery.filter(notice=False).values()]
    page = (await client.get(f"/letters/{token}/change")).text
    fields = dict(re.findall(r'<input id="(\w+)"[^>]*? value="([^"]*)"', page))
    chosen = dict(re.findall(r'name="(\w+)" value="([^"]*)" checked', page))
    day = dict(re.findall(r'type="date" id="(\w+)" name="\w+" value="([^"]*)"', page))
    body = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert body
    assert html.unescape(body[1]) == CHANGED["body"]
    assert (chosen["first_arrival"], day["first_date"]) == ("date", "2026-01-20")
    assert "jun@example.net" in page
    assert "sender_email" not in fields
    typed = fields | chosen | day | {"body": html.unescape(body[1]), "timezone": "Europe/Lisbon"}
    assert (await client.post(f"/letters/{token}/change", data=typed)).status_code == 303
    assert [
        *await Letter.all().values("send_at", "second_send_at"),
        *await Delivery.filter(notice=False).values(),
    ] == before


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_lost(
    client: httpx.AsyncClient, language: str
) -> None:
    token = await posted(client)
    typed = CHANGED | {"subject": "s" * 201, "first_arrival": "date", "first_date": "2026-01-01"}
    answer = await client.post(f"/letters/{token}/change", data=typed, headers={"Accept-Language": language})
    assert answer.status_code == 422
    for name in ("subject", "first_date"):
        assert f'id="{name}-error"' in answer.text
    assert html.escape(CHANGED["body"], quote=False) in answer.text
    assert "s" * 201 in answer.text
    assert (await client.get(f"/api/letters/{token}")).json()["text"]["body"] == BODY


async def test_a_change_that_comes_too_late_is_shown_again_and_not_taken(
    client: httpx.AsyncClient, clock: FrozenClock, services: Services
) -> None:
    token = await posted(client)
    clock.advance(HOUR)
    answer = await client.post(f"/letters/{token}/change", data=CHANGED)
    assert answer.status_code == 409
    assert "your changes were not saved" in answer.text
    assert "the sea is rough &amp;" in answer.text
    assert (await services.letters.find(token)).draft.body == BODY
    page = await client.get(f"/letters/{token}/change")
    assert page.status_code == 409
    assert "The letter is sealed" in page.text
    assert BODY not in page.text


async def test_a_writer_who_changed_the_days_gets_a_receipt_with_them(
    client: httpx.AsyncClient, services: Services, clock: FrozenClock
) -> None:
    token = await posted(client, sender_email="jun@example.net")
    assert "a receipt with the new ones" in (await client.get(f"/letters/{token}/change")).text
    days = {"first_arrival": "date", "first_date": "2026-01-20", "second_arrival": "none"}
    await client.post(f"/letters/{token}/change", data=CHANGED | days)
    await deliver(client)
    assert [mail["Subject"] for mail in arrived(services, "jun@example.net")] == ["Your letter is posted"]
    clock.advance(HOUR)
    await deliver(client)
    (mail,) = arrived(services, "jun@example.net", "have changed")
    assert "First arrival: Tuesday, 20 January 2026, 18:30 (Seoul time)\n\n" in text_of(mail)
    assert links_in(mail, "letters") == [f"/letters/{token}"]


async def test_the_language_is_switched_in_the_middle_of_changing(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    answer = await client.post(f"/letters/{token}/change", data=CHANGED | {"language": "ko"})
    assert answer.status_code == 200
    assert "편지 고치기" in answer.text
    assert "the sea is rough &amp;" in answer.text
    assert (await client.get(f"/api/letters/{token}")).json()["text"]["body"] == BODY


async def test_a_letter_without_a_sealing_period_is_sealed_at_once(services: Services) -> None:
    settings = services.settings
    letters = type(services.letters)(
        services.cipher, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain="slow.test"
    )
    async with asking(replace(services, letters=letters), settings=settings) as client:
        token = await posted(client)
        page = (await client.get(f"/letters/{token}")).text
        assert BODY not in page
        assert "It is sealed" in page
        assert (await client.get(f"/letters/{token}/change")).status_code == 409


async def test_json_changes_what_it_names_and_nothing_else(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    letter = LETTER | {
        "subject": "The sea",
        "sender_name": "Jun",
        "first_arrival": "2026-02-01",
        "second_arrival": "none",
    }
    token = (await client.post("/api/letters", json=letter)).json()["token"]
    answer = await client.patch(f"/api/letters/{token}", json={"body": "Anew", "second_arrival": "P60D"})
    assert answer.status_code == 200
    changed = answer.json()
    text = {"body": "Anew", "subject": "The sea", "recipient_name": "", "sender_name": "Jun"}
    assert changed["text"] == text
    assert (changed["send_at"], changed["second_send_at"]) == ("2026-02-01T09:30:00Z", "2026-03-02T09:30:00Z")
    assert [each["promised_at"] for each in changed["deliveries"]] == [changed["send_at"], changed["second_send_at"]]

    for wrong, name in (({"body": ""}, "body"), ({"first_arrival": "soon"}, "first_arrival")):
        answer = await client.patch(f"/api/letters/{token}", json=wrong)
        assert (answer.status_code, list(answer.json()["errors"])) == (422, [name])
    assert (await client.patch(f"/api/letters/{token}", json={"recipient_email": "a@b.org"})).status_code == 422
    assert (await client.patch("/api/letters/nothing", json={})).status_code == 404

    clock.advance(HOUR)
    answer = await client.patch(f"/api/letters/{token}", json={"body": "Too late"})
    assert (answer.status_code, answer.json()["title"]) == (409, "The letter is sealed")
    found = (await client.get(f"/api/letters/{token}")).json()
    assert (found["text"], found["sealed_at"]) == (None, "2026-01-01T10:30:00Z")
