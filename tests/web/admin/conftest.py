"""The admin page with a real database behind it; no scheduler runs beside it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.clock import FrozenClock
from tests.web.admin.browser import HTTP, Desk, open_desk, sign_in


@pytest.fixture
async def desk(sqlite_url: str, clock: FrozenClock) -> AsyncIterator[Desk]:
    async with open_desk(sqlite_url, clock, HTTP) as opened:
        yield opened


@pytest.fixture
async def browser(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    async with desk.browser() as opened:
        yield opened


@pytest.fixture
async def operator(browser: httpx.AsyncClient) -> httpx.AsyncClient:
    assert (await sign_in(browser)).status_code == 303
    return browser
