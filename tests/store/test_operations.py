"""Retries after conflicts, and timeouts."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from app.crypto import Cipher
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.store.audit import audit
from app.store.cipher import open_cipher
from app.store.database import connected, connection, transaction
from app.store.execution import retried, within
from app.store.letters import Letters
from app.store.models import Letter, Worker
from app.store.quotas import Quotas
from tests.clock import NEW_YEAR as NOW
from tests.ledger import new_worker

pytestmark = pytest.mark.anyio
COUNT = 80


@pytest.fixture
async def serializable(postgres_url: str) -> AsyncIterator[str]:
    """A database whose default isolation is serializable."""
    name, other = postgres_url.rpartition("/")[2], await asyncpg.connect(postgres_url)
    await other.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
    yield postgres_url
    await other.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")
    await other.close()


async def test_concurrent_posts_all_succeed_under_serializable_isolation(serializable: str) -> None:
    async with connected(serializable):
        letters = Letters(
            await open_cipher(Cipher(["k" * 32])), first_delay=Delay(days=7), second_delay=Delay(days=30),
            message_domain="slow.test", quotas=Quotas(),
        )  # fmt: skip
        drafts = [
            Draft(recipient_email=f"{n}@d{n}.test", sender_email=f"{n % 4}@example.net", body="a") for n in range(COUNT)
        ]
        await asyncio.gather(*(letters.post(draft, NOW) for draft in drafts))
        assert await Letter.all().count() == COUNT
        assert (await audit()).adds_up


async def _beat(worker: UUID) -> None:
    await connection().execute_query("UPDATE workers SET beat = beat + 1 WHERE id = $1", [worker])


async def test_the_victim_of_a_deadlock_is_retried(postgres_url: str) -> None:
    async with connected(postgres_url):
        one, other = await new_worker("one"), await new_worker("other")
        begun, runs = asyncio.Barrier(2), 0

        @retried
        async def beat_both(first: UUID, second: UUID) -> None:
            nonlocal runs
            runs += 1
            async with transaction():
                await _beat(first)
                if runs <= 2:
                    await begun.wait()
                await _beat(second)

        await asyncio.gather(beat_both(one, other), beat_both(other, one))
        assert runs == 3
        assert {worker.beat for worker in await Worker.all()} == {2}


async def test_part_of_a_larger_transaction_is_not_retried(postgres_url: str) -> None:
    runs = 0

    @retried
    async def conflict() -> None:
        nonlocal runs
        runs += 1
        raise asyncpg.SerializationError

    async with connected(postgres_url):
        with pytest.raises(asyncpg.SerializationError):
            async with transaction():
                await conflict()
        assert runs == 1
        with pytest.raises(asyncpg.SerializationError):
            await conflict()
        assert 3 < runs < 10


async def test_a_write_after_a_stale_read_is_retried_on_sqlite(sqlite_url: str) -> None:
    runs = 0
    async with connected(sqlite_url):
        worker = await new_worker()
        with contextlib.closing(sqlite3.connect(sqlite_url.removeprefix("sqlite://"))) as other:

            @retried
            async def read_and_write() -> None:
                nonlocal runs
                runs += 1
                async with transaction():
                    await Worker.get(id=worker)
                    if runs == 1:
                        other.execute("UPDATE workers SET beat = 7")
                        other.commit()
                    await Worker.filter(id=worker).update(name="changed")

            await read_and_write()
        found = await Worker.get(id=worker)
        assert (runs, found.beat, found.name) == (2, 7, "changed")


async def test_a_hanging_operation_times_out_without_waiting_for_its_rollback() -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.wait({asyncio.create_task(ended.wait())})  # a rollback that hangs as well

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await within(0.05, hang())
    assert time.monotonic() - began < 5
    ended.set()


async def test_an_operation_in_time_returns_or_raises() -> None:
    async def fail() -> None:
        raise ValueError

    assert await within(5, asyncio.sleep(0, "result")) == "result"
    with pytest.raises(ValueError):  # noqa: PT011 - any
        await within(5, fail())
