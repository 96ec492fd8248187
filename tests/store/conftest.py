"""A ledger on each database, and letters in it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from app.crypto import Cipher
from app.domain.schedule import Delay
from app.store.cipher import LetterCipher, open_cipher
from app.store.database import connected
from app.store.letters import Letters
from tests.ledger import Ledger


@pytest.fixture
async def cipher(database_url: str) -> AsyncIterator[LetterCipher]:
    async with connected(database_url):
        yield await open_cipher(Cipher(["k" * 32]))


@pytest.fixture
def ledger(cipher: LetterCipher) -> Ledger:
    return Ledger(cipher)


@pytest.fixture
def letters(cipher: LetterCipher) -> Letters:
    return Letters(cipher, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain="slow.test")


@pytest.fixture
def prompt_letters(cipher: LetterCipher) -> Letters:
    """Letters that are due one and two seconds after they were posted."""
    first, second = (Delay(elapsed=timedelta(seconds=seconds)) for seconds in (1, 2))
    return Letters(cipher, first_delay=first, second_delay=second, message_domain="slow.test")


@pytest.fixture
async def outsider(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A separate connection, to hold locks with."""
    async with connected(postgres_url):
        connection = await asyncpg.connect(postgres_url)
        yield connection
        await connection.close()
