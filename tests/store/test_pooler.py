"""The ledger behind a connection pooler in transaction mode: each statement may meet another connection."""

import asyncio

import pytest

from app.crypto import Cipher
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.store.audit import audit
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.letters import Letters
from app.store.models import Letter
from app.store.quotas import Quotas
from tests.clock import NEW_YEAR as NOW
from tests.pgbouncer import pgbouncer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_letters_are_posted_and_read_through_pgbouncer(postgres_url: str) -> None:
    with pgbouncer(postgres_url) as url:
        for _ in range(2):  # the second finds what the first prepared, if it prepared anything
            async with connected(url):
                cipher = await open_cipher(Cipher(["k" * 32]))
                letters = Letters(
                    cipher, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain="slow.test",
                    quotas=Quotas(),
                )  # fmt: skip
                drafts = [Draft(recipient_email=f"reader{n}@example.org", body="Dear you") for n in range(20)]
                posted = await asyncio.gather(*(letters.post(draft, NOW) for draft in drafts))
                found = await asyncio.gather(*(letters.find(each.token) for each in posted))
                assert [each.draft for each in found] == drafts
                assert (await audit()).adds_up
                assert await Letter.all().count() % 20 == 0
