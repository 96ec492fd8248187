"""The link of a mail that asks for a confirmation: its page and its button (docs/standards.md P1)."""

from datetime import timedelta

import httpx
import pytest

from app.crypto import new_token
from app.domain.status import HeldReason, Occasion, Status
from app.settings import Settings
from app.store.models import Delivery
from app.wiring import Services
from tests.clock import FrozenClock
from tests.web.requests import LETTER, posted
from tests.web.server import arrived, deliver, links_in, text_of

pytestmark = pytest.mark.anyio

READER, WRITER = LETTER["recipient_email"], "jun@example.net"
SECRETS = ("the sea", "Jun", "Sujin", "Low tide")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"confirmation": "required"})


async def _post(client: httpx.AsyncClient, sender_email: str = WRITER) -> str:
    return await posted(
        client, sender_email=sender_email, sender_name="Jun", recipient_name="Sujin", subject="Low tide"
    )


async def _waiting() -> int:
    return await Delivery.filter(status=Status.HELD, held_reason=HeldReason.UNCONFIRMED).count()


@pytest.mark.parametrize(("sender", "asked", "other"), [(WRITER, WRITER, READER), ("", READER, WRITER)])
async def test_a_question_goes_out_and_says_nothing_of_the_letter(
    client: httpx.AsyncClient, services: Services, clock: FrozenClock, sender: str, asked: str, other: str
) -> None:
    await _post(client, sender)
    clock.advance(timedelta(days=8))
    await deliver(client)
    (mail,) = arrived(services, asked)
    assert arrived(services, other) == []
    assert not [secret for secret in SECRETS if secret in mail.as_string() + text_of(mail)]
    assert links_in(mail, "letters") == []
    assert len(links_in(mail, "confirm")) == 1
    assert len(links_in(mail, "stop")) == (asked == READER)  # a stranger may close their mailbox at once
    assert str(mail["Return-Path"] or "") == ""


async def test_a_look_changes_nothing_and_the_button_frees_the_letter(
    client: httpx.AsyncClient, services: Services
) -> None:
    token = await _post(client)
    await deliver(client)
    (link,) = links_in(arrived(services, WRITER)[0], "confirm")
    for method in ("GET", "HEAD", "OPTIONS"):
        await client.request(method, link)
    page = await client.get(link)
    assert (page.status_code, await _waiting()) == (200, 3)
    assert f'<form class="actions" action="{link}" method="post">' in page.text
    assert (page.headers["cache-control"], page.headers["x-robots-tag"]) == ("no-store", "noindex")
    answer = await client.post(link)
    assert (answer.status_code, answer.headers["location"], await _waiting()) == (303, link, 0)
    assert "The letter is confirmed" in (await client.get(link)).text
    assert "<strong>Confirmed</strong>" in (await client.get(f"/letters/{token}")).text
    await deliver(client)
    (receipt,) = arrived(services, WRITER, "is posted")
    assert links_in(receipt, "letters") == [f"/letters/{token}"]
    assert (await client.post(link)).status_code == 303


async def test_a_link_that_has_run_out_says_what_to_do(
    client: httpx.AsyncClient, services: Services, clock: FrozenClock
) -> None:
    token = await _post(client)
    await deliver(client)
    (link,) = links_in(arrived(services, WRITER)[0], "confirm")
    clock.advance(timedelta(hours=48, minutes=1))
    await deliver(client)
    for language, words in (("en", "please write it again"), ("ko", "한 번 더 써 주세요")):
        page = await client.get(link, headers={"Accept-Language": language})
        assert page.status_code == 410
        assert words in page.text
    await client.post(link)
    assert await Delivery.filter(status=Status.CANCELLED).count() == 3
    assert "called back" in (await client.get(f"/letters/{token}")).text


async def test_the_letters_page_says_what_it_waits_for(client: httpx.AsyncClient) -> None:
    page = (await client.get(f"/letters/{await _post(client)}")).text
    assert "Your letter is waiting for confirmation" in page
    assert f"We send a mail to your address, {WRITER}" in page
    assert "It is sent once it is confirmed." in page
    assert "Waiting for confirmation" in page
    assert "We send a mail to your reader" in (await client.get(f"/letters/{await _post(client, '')}")).text


async def test_nobody_learns_whether_an_address_is_known_or_has_confirmed(
    client: httpx.AsyncClient, services: Services
) -> None:
    """The answer and the page are the same for a stranger's letter before and after its owner's word (P3)."""
    pages = []
    for _ in range(2):
        token = await _post(client)
        pages.append((await client.get(f"/letters/{token}")).text.replace(token, ""))
        await deliver(client)
        if len(pages) == 1:
            await client.post(links_in(arrived(services, WRITER)[0], "confirm")[0])
    assert pages[0] == pages[1]


async def test_a_letter_posted_as_json_waits_for_confirmation(client: httpx.AsyncClient, services: Services) -> None:
    answer = await client.post("/api/letters", json=LETTER | {"sender_email": WRITER})
    assert answer.json()["status"] == "held"
    found = (await client.get(f"/api/letters/{answer.json()['token']}")).json()
    assert {each["held_reason"] for each in found["deliveries"]} == {"unconfirmed"}
    await deliver(client)
    (link,) = links_in(arrived(services, WRITER)[0], "confirm")
    assert (await client.post(link)).status_code == 303
    assert await Delivery.filter(occasion=Occasion.FIRST, status=Status.SCHEDULED).count() == 1


async def test_wrong_links_lead_nowhere_and_are_counted(client: httpx.AsyncClient) -> None:
    answers = [(await client.post(f"/confirm/{new_token()}")).status_code for _ in range(61)]
    assert answers == [404] * 60 + [429]
    assert (await client.get(f"/confirm/{new_token()}")).status_code == 429


async def test_only_our_own_page_may_confirm(client: httpx.AsyncClient, services: Services) -> None:
    await _post(client)
    await deliver(client)
    (link,) = links_in(arrived(services, WRITER)[0], "confirm")
    assert (await client.post(link, headers={"Origin": "https://evil.example"})).status_code == 403
    assert await _waiting() == 3
