"""Whose address counts behind proxies (STANDARDS.md P9), under any ASGI server: ours stands inside the application."""

import pytest

from app.sealing import new_token
from app.wiring import Mailbox
from tests.web.asking import asking

pytestmark = pytest.mark.anyio

PROXY = "10.0.0.7"
MISSES = 60


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What stands before the database is the same before both."""
    return sqlite_url


async def _statuses(mailbox: Mailbox, peer: str, forwarded: str) -> list[int]:
    """Miss a link once too often, each time with another address in front of `forwarded`."""
    settings = mailbox.settings.model_copy(update={"trusted_proxies": ("10.0.0.0/8",)})
    async with asking(mailbox, settings=settings, peer=peer) as client:
        return [
            (
                await client.get(
                    f"/letters/{new_token()}", headers={"X-Forwarded-For": forwarded.format(f"198.51.100.{number}")}
                )
            ).status_code
            for number in range(MISSES + 1)
        ]


async def test_a_trusted_proxy_names_the_client(mailbox: Mailbox) -> None:
    assert set(await _statuses(mailbox, PROXY, "{}")) == {404}


async def test_several_trusted_proxies_are_looked_through(mailbox: Mailbox) -> None:
    assert set(await _statuses(mailbox, PROXY, "{}, 10.1.2.3, 10.9.9.9")) == {404}


async def test_what_a_client_writes_before_the_proxy_is_not_believed(mailbox: Mailbox) -> None:
    assert (await _statuses(mailbox, PROXY, "{}, 203.0.113.5"))[-1] == 429


async def test_nobody_else_names_the_client(mailbox: Mailbox) -> None:
    assert (await _statuses(mailbox, "203.0.113.5", "{}"))[-1] == 429


async def test_without_the_setting_no_header_is_believed(mailbox: Mailbox) -> None:
    async with asking(mailbox, peer=PROXY) as client:
        for number in range(MISSES):
            await client.get(f"/letters/{new_token()}", headers={"X-Forwarded-For": f"198.51.100.{number}"})
        assert (await client.get(f"/letters/{new_token()}", headers={"X-Forwarded-For": "8.8.8.8"})).status_code == 429
