"""The application on a real database, asked without a socket in between."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from app.settings import Settings
from app.wiring import Services, open_services
from tests.clock import FrozenClock
from tests.web.requests import BASE, asking


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a password cost next to nothing; what it must cost is tested where it is stored."""
    monkeypatch.setattr("app.store.accounts._hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, outbox_dir=tmp_path / "outbox", timezone="Asia/Seoul")


@pytest.fixture
async def services(settings: Settings, clock: FrozenClock) -> AsyncIterator[Services]:
    async with open_services(settings, clock) as services:
        yield services


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application; no scheduler runs beside it."""
    async with asking(services, BASE) as client:
        yield client
