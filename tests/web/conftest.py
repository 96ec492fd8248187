"""The application on a real database, asked without a socket in between."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from app.settings import Settings
from app.wiring import Mailbox, open_mailbox
from tests.clock import FrozenClock
from tests.web.asking import BASE, asking


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a password cost next to nothing; what it must cost is tested where it is stored."""
    monkeypatch.setattr("app.store.accounts._hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, outbox_dir=tmp_path / "outbox", timezone="Asia/Seoul")


@pytest.fixture
async def mailbox(settings: Settings, clock: FrozenClock) -> AsyncIterator[Mailbox]:
    async with open_mailbox(settings, clock) as mailbox:
        yield mailbox


@pytest.fixture
async def client(mailbox: Mailbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application; no scheduler runs beside it."""
    async with asking(mailbox, BASE) as client:
        yield client
