"""The client's address behind proxies (docs/standards.md P9)."""

from pathlib import Path

import httpx
import pytest

from app.crypto import new_token
from app.wiring import Services
from tests.acceptance.servers import PATIENCE, Program
from tests.web.requests import asking

pytestmark = pytest.mark.anyio

PROXY = "10.0.0.7"
MISSES = 60


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What stands before the database is the same before both."""
    return sqlite_url


async def _statuses(services: Services, peer: str, forwarded: str) -> list[int]:
    """Miss a link once too often, each time with another address in front of `forwarded`."""
    settings = services.settings.model_copy(update={"trusted_proxies": ("10.0.0.0/8",)})
    async with asking(services, settings=settings, peer=peer) as client:
        return [
            (
                await client.get(
                    f"/letters/{new_token()}", headers={"X-Forwarded-For": forwarded.format(f"198.51.100.{number}")}
                )
            ).status_code
            for number in range(MISSES + 1)
        ]


async def test_a_trusted_proxy_names_the_client(services: Services) -> None:
    assert set(await _statuses(services, PROXY, "{}")) == {404}


async def test_several_trusted_proxies_are_looked_through(services: Services) -> None:
    assert set(await _statuses(services, PROXY, "{}, 10.1.2.3, 10.9.9.9")) == {404}


async def test_what_a_client_writes_before_the_proxy_is_not_believed(services: Services) -> None:
    assert (await _statuses(services, PROXY, "{}, 203.0.113.5"))[-1] == 429


@pytest.mark.parametrize("forwarded", ["unknown-{}", "{}:x", "fe80::1%{}", "198.51.100.7.{}", "x" * 3000])
async def test_what_is_no_address_makes_no_new_client(services: Services, forwarded: str) -> None:
    assert (await _statuses(services, PROXY, forwarded))[-1] == 429


async def test_a_long_word_for_an_address_does_not_break_the_login(services: Services) -> None:
    settings = services.settings.model_copy(update={"trusted_proxies": ("10.0.0.0/8",)})
    headers = {"X-Forwarded-For": "x" * 3000, "Sec-Fetch-Site": "same-origin"}
    async with asking(services, settings=settings, peer=PROXY) as client:
        form = {"username": "admin", "password": "correct horse battery"}
        assert (await client.post("/admin/login", data=form, headers=headers)).status_code == 403


async def test_nobody_else_names_the_client(services: Services) -> None:
    assert (await _statuses(services, "203.0.113.5", "{}"))[-1] == 429


async def test_without_the_setting_no_header_is_believed(services: Services) -> None:
    async with asking(services, peer=PROXY) as client:
        for number in range(MISSES):
            await client.get(f"/letters/{new_token()}", headers={"X-Forwarded-For": f"198.51.100.{number}"})
        assert (await client.get(f"/letters/{new_token()}", headers={"X-Forwarded-For": "8.8.8.8"})).status_code == 429


def _from(host: str, base: str, forwarded: str) -> list[int]:
    """Miss links from an address of this machine."""
    with httpx.Client(base_url=base, transport=httpx.HTTPTransport(local_address=host), timeout=PATIENCE) as client:
        return [
            client.get(f"/letters/{new_token()}", headers={"X-Forwarded-For": forwarded.format(number)}).status_code
            for number in range(1, MISSES + 2)
        ]


@pytest.mark.slow
def test_only_the_setting_counts_under_plain_uvicorn(sqlite_url: str, tmp_path: Path) -> None:
    """With the option in docs/operating.md: without it uvicorn itself trusts 127.0.0.1."""
    program = Program(tmp_path, DATABASE_URL=sqlite_url, TRUSTED_PROXIES="127.0.0.2")
    with program.uvicorn("--no-proxy-headers") as server:
        assert _from("127.0.0.1", server.base, "198.51.100.{}") == [404] * MISSES + [429]
        assert set(_from("127.0.0.2", server.base, "198.51.100.{}")) == {404}
