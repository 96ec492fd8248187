"""Stores letters that are already due, as the form would have stored them a week ago."""

import asyncio
from datetime import UTC, datetime, timedelta

from tortoise.transactions import in_transaction

from app.crypto import Cipher
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.letters import Letters

KEY = "a key for tests that is long enough"
_AT_ONCE = 1000


def seed(database_url: str, letters: int, *, domains: int = 1, reader: str = "reader{}") -> None:
    """Store letters whose first delivery has been due for an hour, and whose second is in 23 days.

    `reader` is the pattern of the addresses' local part; the test's SMTP server does as it says.
    """
    asyncio.run(_seed(database_url, letters, domains, reader))


async def _seed(database_url: str, letters: int, domains: int, reader: str) -> None:
    written_at = datetime.now(UTC) - timedelta(days=7, hours=1)
    async with connected(database_url):
        post = Letters(
            await open_cipher(Cipher([KEY])),
            first_delay=Delay(days=7),
            second_delay=Delay(days=30),
            message_domain="slow.test",
        ).post
        for begin in range(0, letters, _AT_ONCE):
            async with in_transaction():
                for number in range(begin, min(begin + _AT_ONCE, letters)):
                    address = f"{reader.format(number)}@d{number % domains}.test"
                    await post(Draft(recipient_email=address, body=f"편지 {number}"), written_at)
