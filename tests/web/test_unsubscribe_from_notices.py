"""The link in a notice: whoever gets mail about letters that others wrote in their name ends it at one click (E8)."""

from typing import Any

import httpx
import pytest

from app.crypto import new_token
from app.store.models import BlockedAddress, Letter
from app.wiring import Services
from tests.ledger import WRITER
from tests.web.requests import posted

pytestmark = pytest.mark.anyio

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def address_hmac(services: Services) -> str:
    return services.cipher.address_hmac(WRITER)


@pytest.fixture
def link(services: Services, address_hmac: str) -> str:
    """The page of the mailbox that is named as a writer's."""
    return f"/quiet/{services.cipher.mailbox_token(address_hmac)}"


@pytest.mark.parametrize(
    "sent",
    [
        {"data": ONE_CLICK},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"data": ONE_CLICK, "headers": {"Sec-Fetch-Site": "cross-site", "Origin": "null"}},
    ],
)
async def test_one_click_closes_the_mailbox_and_twice_is_once(
    client: httpx.AsyncClient, link: str, address_hmac: str, sent: dict[str, Any]
) -> None:
    answers = [await client.post(link, **sent) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].text == answers[1].text
    assert "All mail to this address is stopped" in answers[0].text
    assert "set-cookie" not in answers[0].headers
    assert [row.address_hmac for row in await BlockedAddress.all()] == [address_hmac]


async def test_it_is_opened_again_by_the_page(client: httpx.AsyncClient, link: str) -> None:
    """What a closed mailbox keeps back is told in `tests/delivery/test_unsubscribe.py`."""
    assert f'<form action="{link}/open" method="post">' in (await client.post(link)).text
    answer = await client.post(f"{link}/open")
    assert (answer.status_code, answer.headers["location"]) == (303, link)
    assert await BlockedAddress.all().count() == 0
    assert f'<form action="{link}" method="post">' in (await client.get(link)).text


async def test_a_look_changes_nothing_and_says_nothing_of_anybody(client: httpx.AsyncClient, link: str) -> None:
    await posted(client, sender_email=WRITER)
    page = await client.get(link)
    for method in ("GET", "HEAD", "OPTIONS"):
        await client.request(method, f"{link}/open")
    assert await BlockedAddress.all().count() == 0
    assert page.headers["cache-control"] == "no-store"
    assert f'<form action="{link}" method="post">' in page.text
    assert "@" not in page.text


async def test_a_made_up_link_is_nobodys(client: httpx.AsyncClient, link: str, address_hmac: str) -> None:
    letter = await posted(client)
    reader = (await Letter.get()).reader_token_hash or ""
    token = link.removeprefix("/quiet/")
    for wrong in (
        letter,
        reader,
        new_token(),
        address_hmac,
        "x",
        "%00",
        "\N{SNOWMAN}",
        f"{token}A",
        f"A{token[1:]}",
        token[:-1],
    ):
        for path in ("", "/open"):
            assert (await client.post(f"/quiet/{wrong}{path}")).status_code == 404
        assert (await client.get(f"/quiet/{wrong}")).status_code == 404
    assert await BlockedAddress.all().count() == 0


async def test_only_the_one_click_may_come_from_elsewhere(client: httpx.AsyncClient, link: str) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await client.post(f"{link}/open", headers=headers)).status_code == 403


async def test_the_log_holds_no_token_of_a_mailbox(
    client: httpx.AsyncClient, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await client.post(link)
    log = "".join(capsys.readouterr())
    assert "close mailbox" in log
    assert link.removeprefix("/quiet/") not in log
