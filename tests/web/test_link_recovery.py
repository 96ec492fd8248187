"""Send me my link again: the same answer for everybody, and a mail for those who wrote under that address."""

import re
from datetime import timedelta

import httpx
import pytest

from app.domain.status import Occasion
from app.store.models import Delivery
from app.wiring import Services
from tests.clock import FrozenClock
from tests.web.requests import posted
from tests.web.server import arrived, deliver, links_in, text_of

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
WRITER = "jun@example.net"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def _ask(client: httpx.AsyncClient, address: str = WRITER) -> httpx.Response:
    return await client.post("/links", data={"sender_email": address})


async def test_the_links_of_all_living_letters_are_mailed_and_nothing_they_say(
    client: httpx.AsyncClient, services: Services
) -> None:
    mine = [await posted(client, sender_email=address, subject="Tide") for address in (WRITER, "Jun@Example.net")]
    await posted(client, sender_email="jun+sea@example.net")  # on some servers that is somebody else
    await posted(client, sender_email="else@example.net")
    await posted(client, recipient_email=WRITER)  # a letter to jun, of nobody's
    await deliver(client)
    await _ask(client)
    await deliver(client)
    (mail,) = arrived(services, WRITER, "Links to your")
    assert sorted(links_in(mail, "letters")) == sorted(f"/letters/{token}" for token in mine)
    assert text_of(mail).count("s…@example.org") == 2
    assert not re.search("sea is calm|Tide|sujin", text_of(mail))
    assert await Delivery.filter(occasion=Occasion.LINKS).count() == 1


async def test_everybody_gets_the_same_answer(client: httpx.AsyncClient) -> None:
    await posted(client, sender_email=WRITER)
    answers = [await _ask(client, address) for address in (WRITER, WRITER, "nobody@example.net", "sujin@example.org")]
    assert {(answer.status_code, answer.headers["location"], answer.text) for answer in answers} == {
        (303, "/links/asked", "")
    }
    assert WRITER not in (await client.get("/links/asked")).text
    assert await Delivery.filter(occasion=Occasion.LINKS).count() == 1


async def test_once_a_day_and_each_mail_is_its_own(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    await posted(client, sender_email=WRITER)
    for _ in range(3):
        await _ask(client)
        clock.advance(DAY / 2)
    sent = await Delivery.filter(occasion=Occasion.LINKS).order_by("id")
    assert [(each.edition, each.promised_at - sent[0].promised_at) for each in sent] == [(1, 0 * DAY), (2, DAY)]
    assert len({each.message_id for each in sent}) == 2


@pytest.mark.parametrize(("language", "words"), [("en", "Please enter your"), ("ko", "적어 주세요")])
async def test_what_is_wrong_is_said_beside_the_field(client: httpx.AsyncClient, language: str, words: str) -> None:
    for typed in ("", "a@b@c"):
        answer = await client.post("/links", data={"sender_email": typed}, headers={"Accept-Language": language})
        assert (answer.status_code, 'aria-invalid="true"' in answer.text) == (422, True)
        assert f'value="{typed}"' in answer.text
        assert typed or words in answer.text


async def test_asking_is_limited_for_each_client(client: httpx.AsyncClient) -> None:
    answers = [(await _ask(client, f"a@{number}.org")).status_code for number in range(21)]
    assert answers == [303] * 20 + [429]


async def test_every_page_leads_here(client: httpx.AsyncClient) -> None:
    for path in ("/", "/about", "/nothing"):
        assert 'href="/links"' in (await client.get(path)).text
