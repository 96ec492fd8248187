"""Somebody who wants an address flooded: no more mails than the limits say, and its owner ends it with one click."""

import re
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from app.domain.schedule import Delay
from app.settings import Settings
from app.store.quotas import Quotas
from app.wiring import Services, open_services
from tests.clock import FrozenClock
from tests.smtp_server import MailServer
from tests.web.requests import LETTER, asking
from tests.web.server import deliver

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LETTERS = 300
PROXY = "10.0.0.7"
VICTIM = "vic.tim@example.org"
DISGUISES = (VICTIM, "Vic.Tim@Example.ORG", "vic.tim+{}@example.org")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The limits themselves are tested on both."""
    return sqlite_url


async def _post_from_everywhere(client: httpx.AsyncClient) -> int:
    """Post, each time from another network and under another writer's name; return how many were taken."""
    taken = 0
    for number in range(LETTERS):
        fields = LETTER | {
            "recipient_email": DISGUISES[number % 3].format(number),
            "sender_email": f"bomber{number}@example.net",
        }
        forwarded = f"198.{number // 250}.{number % 250}.1"
        answer = await client.post("/letters", data=fields, headers={"X-Forwarded-For": forwarded})
        assert answer.status_code in (303, 429)
        taken += answer.status_code == 303
    return taken


def _to_the_victim(folder: Path) -> list[EmailMessage]:
    mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in folder.rglob("*.eml")]
    return [mail for mail in mails if "example.org" in str(mail["To"]).lower()]


async def test_a_bombed_address_gets_what_the_limits_allow_and_one_click_ends_it(
    services: Services, clock: FrozenClock, tmp_path: Path
) -> None:
    settings = services.settings.model_copy(
        update={"trusted_proxies": (PROXY,), "base_url": "https://letters.example.org"}
    )
    async with asking(services, "https://letters.example.org", settings=settings, peer=PROXY) as client:
        most = Quotas().per_address
        assert await _post_from_everywhere(client) == LETTERS
        clock.advance(timedelta(days=7))
        await deliver(client)
        arrived = _to_the_victim(tmp_path / "outbox")
        assert len(arrived) == most
        token = re.search(r"/stop/([\w-]{22})", arrived[0].get_body(("plain",)).get_content())  # type: ignore[union-attr]
        assert token
        assert (await client.post(f"/stop/{token[1]}/block")).status_code == 303
        clock.advance(timedelta(days=23))
        await deliver(client)
    assert len(_to_the_victim(tmp_path / "outbox")) == most


async def test_letters_in_somebodys_name_that_are_refused_bring_them_ten_mails_a_day(
    settings: Settings, clock: FrozenClock
) -> None:
    """Fifty letters, each to an address that does not exist and corrected to another such."""
    hour = Delay(elapsed=timedelta(hours=1))
    async with MailServer() as server:
        chosen = {
            "smtp_url": f"smtp://127.0.0.1:{server.port}",
            "secret_key": ("k" * 32,),
            "first_delay": hour,
            "trusted_proxies": (PROXY,),
        }
        async with (
            open_services(settings.model_copy(update=chosen), clock) as services,
            asking(services, peer=PROXY) as client,
        ):
            pages = []
            for number in range(50):
                fields = {"recipient_email": f"rcpt-550-5.1.1@x{number}.test", "sender_email": "victim@example.net"}
                sender = {"X-Forwarded-For": f"198.51.100.{number}"}
                answer = await client.post("/letters", data=LETTER | fields, headers=sender)
                pages.append((answer.headers["location"], sender))
            clock.advance(timedelta(hours=2))
            await deliver(client)
            for number, (page, sender) in enumerate(pages):
                corrected = {"recipient_email": f"rcpt-550-5.1.2@y{number}.test", "sure": "yes"}
                answer = await client.post(f"{page}/address", data=corrected, headers=sender)
                assert answer.status_code == 303
            await deliver(client)
        told = [accepted for accepted in server.accepted if accepted.recipients == ("victim@example.net",)]
    assert len(told) == settings.notices_per_address
