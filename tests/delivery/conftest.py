"""Towns: a database of each kind with letters to deliver."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from app.crypto import Cipher
from app.store.cipher import open_cipher
from app.store.database import connected
from tests.clock import FrozenClock
from tests.delivery.workers import Harness
from tests.smtp_server import MailServer


@pytest.fixture
async def harness(database_url: str, clock: FrozenClock) -> AsyncIterator[Harness]:
    """Connect to a database of each kind in turn."""
    async with connected(database_url):
        yield Harness(await open_cipher(Cipher(["k" * 32])), clock)


@pytest.fixture
async def sqlite_harness(sqlite_url: str, clock: FrozenClock) -> AsyncIterator[Harness]:
    """Connect to SQLite alone: for what no database makes a difference to."""
    async with connected(sqlite_url):
        yield Harness(await open_cipher(Cipher(["k" * 32])), clock)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """Start a mail server that does as the reader's address says."""
    async with MailServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep a line for each of thousands of letters out of the output; warnings stay."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()
