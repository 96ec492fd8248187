"""The program behind ASGI, and browsers in front of it."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx

from app.delivery.bulk_actions import BulkActions
from app.settings import Settings
from app.store.accounts import create_account
from app.web.app import create_app
from app.wiring import Services, open_services
from tests.clock import FrozenClock
from tests.ledger import Ledger

PASSWORD = "correct horse battery"
HTTP = "http://127.0.0.1:8000"


class Desk:
    """One program with its ledger."""

    def __init__(self, settings: Settings, clock: FrozenClock, services: Services) -> None:
        self._app = create_app(settings, clock)
        self._app.state.services = services
        self.woken: list[str] = []
        self._app.state.wake_scan = partial(self.woken.append, "scan")
        self.clock = clock
        self.bulk_actions = BulkActions(clock, self._app.state.wake_scan)
        self._app.state.bulk_actions = self.bulk_actions
        self._origin = settings.origin
        self.cipher = services.cipher
        self.ledger = Ledger(services.cipher)

    def browser(self, client: str = "192.0.2.7", **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app, client=(client, 50_000)),
            base_url=self._origin,
            headers={"Sec-Fetch-Site": "same-origin"} | headers,
        )


@contextlib.asynccontextmanager
async def open_desk(url: str, clock: FrozenClock, origin: str, **more: Any) -> AsyncIterator[Desk]:
    settings = Settings(database_url=url, secret_key=("k" * 32,), base_url=origin, timezone="Asia/Seoul", **more)
    async with open_services(settings, clock) as services:
        await create_account("admin", PASSWORD, clock.now())
        yield Desk(settings, clock, services)


async def sign_in(browser: httpx.AsyncClient, password: str = PASSWORD, username: str = "admin") -> httpx.Response:
    return await browser.post("/admin/login", data={"username": username, "password": password})
