"""How the web tests ask: as a browser on this machine would."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx

from app.settings import Settings
from app.web.app import create_app
from app.wiring import Services, build_worker

BASE = "http://127.0.0.1:8000"
LETTER = {"recipient_email": "sujin@example.org", "body": "Dear Sujin,\nthe sea is calm."}


@contextlib.asynccontextmanager
async def asking(
    services: Services, base: str = BASE, *, settings: Settings | None = None, peer: str = "127.0.0.1"
) -> AsyncIterator[httpx.AsyncClient]:
    """Ask the application that `settings` make, over an open mailbox, from the address `peer`.

    It may send notices at once; no scheduler runs.
    """
    settings = settings or services.settings
    services = replace(services, settings=settings, outbox=None if settings.smtp else services.outbox)
    app = create_app(settings, services.clock)
    transport = httpx.ASGITransport(app, client=(peer, 50000))
    async with (
        build_worker(services, leads=False) as worker,
        httpx.AsyncClient(transport=transport, base_url=base) as client,
    ):
        app.state.services, app.state.worker = services, worker
        yield client


async def post(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await client.post("/letters", data=LETTER | fields)


async def posted(client: httpx.AsyncClient, **fields: str) -> str:
    """Post a letter and return its token."""
    answer = await post(client, **fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("/letters/")
