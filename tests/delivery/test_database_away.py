"""A PostgreSQL that is stopped in the middle of a delivery, and started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from app.crypto import Cipher
from app.domain.status import Status
from app.store import claims, settlements
from app.store.cipher import open_cipher
from app.store.database import connected
from tests.clock import FrozenClock
from tests.delivery.workers import Harness, by_status, only
from tests.postgres import LocalPostgres
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def harness(local_postgres_url: str, clock: FrozenClock) -> AsyncIterator[Harness]:
    async with connected(local_postgres_url):
        yield Harness(await open_cipher(Cipher(["k" * 32])), clock)


class Outage:
    """Stops the database just before a function's first statement, and starts it after the first refusal."""

    def __init__(self, postgres: LocalPostgres, statement: Callable[..., Awaitable[Any]]) -> None:
        self._postgres = postgres
        self._statement = statement
        self.refused = asyncio.Event()
        self.calls = 0
        self.over: asyncio.Task[None] | None = None

    async def __call__(self, *args: object, **options: object) -> object:
        self.calls += 1
        if self.over is None:
            down = self._postgres.stopped()
            await asyncio.to_thread(down.__enter__)
            self.over = asyncio.create_task(self._end(lambda: down.__exit__(None, None, None)))
        try:
            return await self._statement(*args, **options)
        except Exception:
            self.refused.set()
            raise

    async def _end(self, start_again: Callable[[], object]) -> None:
        await self.refused.wait()
        await asyncio.to_thread(start_again)


async def test_a_letter_that_was_accepted_is_settled_when_the_database_returns_and_not_sent_again(
    harness: Harness, server: MailServer, local_postgres: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.post_and_wait("minji@x.test")
    outage = Outage(local_postgres, settlements.settle)
    monkeypatch.setattr(settlements, "settle", outage)
    async with harness.process(server.port) as process:
        await process.dispatcher.run()
        await outage.refused.wait()
        assert not process.completer.complete
        await process.landed()
        assert outage.calls > 1
        await process.deliver()
    assert len(server.accepted) == 1
    delivery = await only()
    assert (delivery.status, delivery.attempts) == (Status.SENT, 1)
    assert await by_status() == {"sent": 1, "scheduled": 1}


async def test_without_a_recorded_hand_over_nothing_is_sent(
    harness: Harness, server: MailServer, local_postgres: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.post_and_wait("minji@x.test")
    due_at = (await only()).due_at
    monkeypatch.setattr(claims, "hand_over", Outage(local_postgres, claims.hand_over))
    async with harness.process(server.port) as process:
        (claimed,) = await process.claim()
        await process.deliver_one(claimed)
        delivery = await only()
        assert server.accepted == []
        assert (delivery.status, delivery.attempts, delivery.due_at) == (Status.SCHEDULED, 0, due_at)
        await process.deliver()
    assert len(server.accepted) == 1
    assert await by_status() == {"sent": 1, "scheduled": 1}


async def test_a_scan_without_a_database_ends_and_the_next_one_delivers(
    harness: Harness, server: MailServer, local_postgres: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.post_and_wait("minji@x.test")
    outage = Outage(local_postgres, claims.claim)
    monkeypatch.setattr(claims, "claim", outage)
    async with harness.process(server.port) as process:
        process.dispatcher.start()
        await outage.refused.wait()
        await process.dispatcher.ended()
        assert outage.over
        await outage.over
        await process.deliver()
    assert await by_status() == {"sent": 1, "scheduled": 1}
