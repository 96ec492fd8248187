"""SQLite's connections for readers: they do not wait for writers, and see all earlier commits."""

import asyncio
import contextlib
import sqlite3

import pytest

from app.errors import DatabaseError
from app.store.database import connected, connection, sqlite_path, transaction
from app.store.models import Worker
from app.store.sqlite import FileReplaced
from app.store.workers import heartbeat
from tests.clock import NEW_YEAR as NOW
from tests.ledger import new_worker

pytestmark = pytest.mark.anyio


async def test_readers_wait_for_no_writer_and_see_what_is_committed(sqlite_url: str) -> None:
    async with connected(sqlite_url), asyncio.timeout(20):
        worker = await new_worker()
        written, release = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            async with transaction():
                await heartbeat(worker, NOW)
                written.set()
                await release.wait()

        writing = asyncio.create_task(write())
        await written.wait()
        assert {each.beat for each in await asyncio.gather(*(Worker.get(id=worker) for _ in range(20)))} == {0}
        release.set()
        await writing
        assert (await Worker.get(id=worker)).beat == 1


async def test_each_write_is_seen_by_the_read_behind_it(sqlite_url: str) -> None:
    async with connected(sqlite_url):
        worker = await new_worker()
        for number in range(1, 50):
            await heartbeat(worker, NOW)
            assert (await Worker.get(id=worker)).beat == number


async def test_a_cancelled_read_is_interrupted_and_its_connection_reused(sqlite_url: str) -> None:
    endless = (
        "SELECT 1 FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n) WHERE i < 0"
    )
    async with connected(sqlite_url), asyncio.timeout(30):
        for _ in range(10):  # more than there are readers
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await connection().execute_query(endless)
        assert await Worker.all().count() == 0


async def test_a_reader_cannot_write(sqlite_url: str) -> None:
    async with connected(sqlite_url):
        client = connection()
        async with client._reader() as reader:  # type: ignore[attr-defined]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await reader.execute("DELETE FROM workers")


def _unlink(url: str) -> None:
    sqlite_path(url).unlink()


async def test_no_transaction_begins_where_the_file_is_gone(sqlite_url: str) -> None:
    async with connected(sqlite_url):
        worker = await new_worker()
        _unlink(sqlite_url)
        for _ in range(2):
            with pytest.raises(FileReplaced):
                await heartbeat(worker, NOW)
            with pytest.raises(FileReplaced):
                async with transaction():
                    pass


async def test_a_database_that_is_locked_at_the_start_is_said_in_one_line(
    empty_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(sqlite3.connect(empty_sqlite_url.removeprefix("sqlite://"), isolation_level=None)) as other:
        other.execute("CREATE TABLE first (id INTEGER)")
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("app.store.sqlite._BUSY_DELAYS", (0.01,))
        with pytest.raises(DatabaseError, match="cannot be reached"):
            async with connected(empty_sqlite_url):
                pass
