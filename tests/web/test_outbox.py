"""The outbox in a browser: what it shows, and to whom."""

import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.wiring import Services
from tests.clock import FrozenClock
from tests.web.requests import BASE, asking, posted
from tests.web.server import deliver

pytestmark = pytest.mark.anyio

BODY = "Dear Sujin,\n<script>alert(1)</script> & the sea 👨‍👩‍👧‍👦"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
async def delivered(client: httpx.AsyncClient, clock: FrozenClock) -> str:
    """Post a letter, let its first day come, and return the name of the mail that left."""
    await posted(client, body=BODY, subject="바다에서")
    clock.advance(timedelta(days=7))
    await deliver(client)
    page = (await client.get("/outbox")).text
    (name,) = re.findall(r'href="/outbox/([^"]+)"', page)
    assert "바다에서" in page
    assert "sujin@example.org" in page
    assert "All times are those of Seoul." in page
    return str(name)


async def test_a_mail_is_shown_as_text_and_in_a_sandboxed_frame(client: httpx.AsyncClient, delivered: str) -> None:
    page = await client.get(f"/outbox/{delivered}")
    assert "Message-ID" in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; the sea 👨‍👩‍👧‍👦" in page.text
    assert f'<iframe class="mail" src="/outbox/{delivered}/html" sandbox title=' in page.text
    assert "unsafe" not in page.headers["content-security-policy"]

    frame = await client.get(f"/outbox/{delivered}/html")
    assert frame.headers["content-type"] == "text/html; charset=utf-8"
    policy = frame.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'")
    assert "&lt;script&gt;" in frame.text


@pytest.mark.parametrize(
    "name", ["nothing.eml", "20260101T000000000000Z-x.eml", "..%2f..%2fmailbox.db", "%00", "x" * 5000]
)
async def test_nothing_else_is_shown(client: httpx.AsyncClient, name: str) -> None:
    for path in (f"/outbox/{name}", f"/outbox/{name}/html"):
        assert (await client.get(path)).status_code == 404


async def test_an_empty_outbox_says_so(client: httpx.AsyncClient) -> None:
    assert "No letter has been sent yet." in (await client.get("/outbox")).text


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Forwarded-Proto": "http"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "letters.example.org"},
    ],
)
async def test_what_came_through_a_proxy_sees_nothing(
    services: Services, delivered: str, headers: dict[str, str]
) -> None:
    settings = services.settings.model_copy(update={"allowed_hosts": ("letters.example.org",)})
    async with asking(services, settings=settings) as client:
        assert (await client.get("/outbox")).status_code == 200
        for path in ("/outbox", f"/outbox/{delivered}", f"/outbox/{delivered}/html"):
            assert (await client.get(path, headers=headers)).status_code == 404


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7", "", "unix"])
async def test_another_machine_sees_nothing(services: Services, delivered: str, peer: str) -> None:
    async with asking(services, peer=peer) as client:
        for path in ("/outbox", f"/outbox/{delivered}", f"/outbox/{delivered}/html"):
            assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
async def test_a_server_that_others_can_reach_shows_nothing(services: Services, host: str) -> None:
    async with asking(services, settings=services.settings.model_copy(update={"host": host})) as client:
        assert (await client.get("/outbox")).status_code == 404


async def test_with_a_mail_server_there_is_no_outbox(services: Services, tmp_path: Path) -> None:
    changed = {"smtp_url": "smtp://127.0.0.1:25", "secret_key_file": tmp_path / "secret.key"}
    async with asking(services, BASE, settings=services.settings.model_copy(update=changed)) as client:
        assert (await client.get("/outbox")).status_code == 404
        assert "/outbox" not in (await client.get(f"/letters/{await posted(client)}")).text
