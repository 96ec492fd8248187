"""A letter to keep: nothing of it before its last arrival, and then a page and a file."""

import email
from datetime import timedelta
from email import policy

import httpx
import pytest

from app.domain.status import HeldReason, Occasion, Status
from app.store.models import Delivery
from app.wiring import Services
from tests.clock import FrozenClock
from tests.web.requests import LETTER, posted
from tests.web.server import arrived, deliver, text_of

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
PATHS = ("/keepsake", "/keepsake.eml")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
async def token(client: httpx.AsyncClient) -> str:
    return await posted(client, subject="Low <tide>", sender_name="Jun")


async def test_nothing_is_shown_before_the_last_arrival(
    client: httpx.AsyncClient, clock: FrozenClock, token: str
) -> None:
    for _ in range(2):  # before the first arrival, and between the two
        page = await client.get(f"/letters/{token}/keepsake")
        assert (page.status_code, "31 January 2026" in page.text) == (200, True)
        for path in PATHS:
            assert "the sea" not in (await client.get(f"/letters/{token}{path}")).text
        answer = await client.get(f"/letters/{token}/keepsake.eml")
        assert (answer.status_code, "The letter is still on its way" in answer.text) == (409, True)
        clock.advance(7 * DAY)
        await deliver(client)


async def test_it_is_there_to_print_and_to_file_until_it_is_forgotten(
    client: httpx.AsyncClient, services: Services, clock: FrozenClock, token: str
) -> None:
    for days in (7, 23):
        clock.advance(days * DAY)
        await deliver(client)
    assert f'href="/letters/{token}/keepsake"' in (await client.get(f"/letters/{token}")).text
    page = (await client.get(f"/letters/{token}/keepsake")).text
    assert "Low &lt;tide&gt;" in page
    assert "the sea is calm." in page
    assert page.count("<dt>") == 4  # From, Written, and the two arrivals
    second = arrived(services, "sujin")[1]
    answer = await client.get(f"/letters/{token}/keepsake.eml")
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == 'attachment; filename="letter-2026-01-01.eml"'
    mail = email.message_from_bytes(answer.content, policy=policy.default)
    assert {name: mail[name] for name in ("Message-ID", "Subject", "From", "To", "Date")} == {
        name: second[name] for name in ("Message-ID", "Subject", "From", "To", "Date")
    }
    assert "/stop/" in text_of(second)
    assert "/stop/" not in answer.text + text_of(mail)  # that is its reader's alone
    assert LETTER["body"] in text_of(mail)
    await client.post(f"/letters/{token}/erase")
    for path in PATHS:
        assert (await client.get(f"/letters/{token}{path}")).status_code == 404


@pytest.mark.parametrize(
    ("first", "second", "opens"),
    [
        (Status.SENT, Status.CANCELLED, True),
        (Status.SENT, Status.FAILED, True),
        (Status.SENT, Status.HELD, False),
        (Status.SENT, Status.UNCERTAIN, False),
        (Status.UNCERTAIN, Status.SENT, False),
        (Status.CANCELLED, Status.CANCELLED, False),
        (Status.FAILED, Status.HELD, False),
    ],
)
async def test_it_opens_when_something_arrived_and_nothing_is_to_come(
    client: httpx.AsyncClient, services: Services, token: str, first: Status, second: Status, opens: bool
) -> None:
    for occasion, status in ((Occasion.FIRST, first), (Occasion.SECOND, second)):
        await Delivery.filter(occasion=occasion).update(
            status=status,
            sent_at=services.clock.now() if status is Status.SENT else None,
            held_reason=HeldReason.OPERATOR if status is Status.HELD else None,
        )
    page = await client.get(f"/letters/{token}/keepsake", headers={"Accept-Language": "ko"})
    assert (page.status_code, "the sea" in page.text) == (200, opens)
