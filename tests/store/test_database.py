"""Transactions, unavailable databases and concurrent migrations."""

import asyncio
import contextlib
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tortoise.exceptions import IntegrityError, OperationalError

from app.domain.letter import Draft
from app.errors import DatabaseError
from app.store.audit import audit
from app.store.database import as_moment, as_parameter, connected, connection, is_unavailable, transaction
from app.store.letters import Letters
from app.store.models import Worker
from app.store.sqlite import as_text
from app.store.workers import heartbeat, register
from tests.clock import NEW_YEAR as NOW
from tests.ledger import new_worker
from tests.postgres import LocalPostgres, free_port

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
DRAFT = Draft(recipient_email="minji@example.org", body="Dear you")


@pytest.mark.usefixtures("cipher")
async def test_a_transaction_is_atomic() -> None:
    worker = await new_worker()
    with pytest.raises(RuntimeError, match="in the middle"):
        await _beat_in_transaction(worker, RuntimeError("in the middle"))
    assert (await Worker.get(id=worker)).beat == 0


async def test_a_post_cancelled_at_any_moment_leaves_the_database_usable(letters: Letters) -> None:
    for moment in range(60):
        posting = asyncio.create_task(letters.post(DRAFT, NOW))
        for _ in range(moment):
            await asyncio.sleep(0)
        posting.cancel()
        await asyncio.wait([posting])
        async with asyncio.timeout(60):
            await letters.post(DRAFT, NOW)
    async with asyncio.timeout(60):
        await asyncio.gather(*(letters.post(DRAFT, NOW) for _ in range(10)))  # every connection of the pool
    sums = await audit()
    assert sums.adds_up
    assert 70 <= sums.letters <= 130


@pytest.mark.slow
async def test_the_same_task_continues_after_a_restart_of_postgres(
    local_postgres_url: str, local_postgres: LocalPostgres
) -> None:
    """The event loop is blocked during the restart, so the lost connection is not noticed before it is used."""
    async with connected(local_postgres_url):
        worker = await new_worker()
        for _ in range(3):
            with local_postgres.stopped():
                pass
            with pytest.raises(Exception) as lost:  # noqa: PT011 - the driver raises many classes
                await _beat_in_transaction(worker)
            assert is_unavailable(lost.value)
            async with asyncio.timeout(60):
                await _beat_in_transaction(worker)
        assert (await Worker.get(id=worker)).beat == 3


@pytest.mark.slow
async def test_transactions_that_cannot_begin_return_their_connections_to_the_pool(
    local_postgres_url: str, local_postgres: LocalPostgres
) -> None:
    async with connected(local_postgres_url):
        worker = await new_worker()
        for _ in range(2):
            await asyncio.gather(*(_beat_in_transaction(worker) for _ in range(10)))
            with local_postgres.stopped():
                pass
            await asyncio.gather(*(_beat_in_transaction(worker) for _ in range(10)), return_exceptions=True)
        async with asyncio.timeout(60):
            await asyncio.gather(*(_beat_in_transaction(worker) for _ in range(10)))


async def _beat_in_transaction(worker: UUID, error: Exception | None = None) -> None:
    async with transaction():
        await heartbeat(worker, NOW)
        if error:
            raise error


@pytest.mark.usefixtures("cipher")
async def test_a_faulty_statement_is_distinguished_from_an_unavailable_database() -> None:
    for statement in ("SELECT nothing FROM nowhere", "SELECT ("):
        with pytest.raises(OperationalError) as wrong:
            await connection().execute_query(statement)
        assert not is_unavailable(wrong.value)
    with pytest.raises(IntegrityError) as twice:
        await connection().execute_query("INSERT INTO leases (name, term) VALUES ('scheduler', 0)")
    assert not is_unavailable(twice.value)
    assert not is_unavailable(ValueError())


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.AdminShutdownError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.DiskFullError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        OperationalError("nobody knows why"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_is_away_full_or_busy_is_unavailable(error: Exception) -> None:
    assert is_unavailable(error)


async def test_a_locked_and_a_read_only_sqlite_file_are_unavailable(sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite://")
    async with connected(sqlite_url):
        await connection().execute_query("PRAGMA busy_timeout = 1")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OperationalError) as locked:
                await register(uuid4(), "worker", NOW)
        await connection().execute_query("PRAGMA query_only = ON")
        with pytest.raises(OperationalError) as read_only:
            await register(uuid4(), "worker", NOW)
    assert is_unavailable(locked.value)
    assert is_unavailable(read_only.value)


async def test_opening_a_new_sqlite_file_waits_for_its_writer(
    empty_sqlite_url: str,
) -> None:
    """SQLite ignores busy_timeout when it turns a file to WAL."""
    with contextlib.closing(sqlite3.connect(empty_sqlite_url.removeprefix("sqlite://"), isolation_level=None)) as other:
        other.execute("CREATE TABLE first (id INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.1, other.rollback)
        async with connected(empty_sqlite_url):
            assert await connection().execute_query_dict("PRAGMA journal_mode") == [{"journal_mode": "wal"}]
            assert await connection().execute_query_dict("PRAGMA foreign_keys") == [{"foreign_keys": 1}]


async def test_an_unreachable_database_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_bytes(b"This is no database, but a text of some length. " * 50)
    (tmp_path / "file").touch()
    for url in (
        f"sqlite://{tmp_path}/no.db",
        f"sqlite://{tmp_path}/file/mailbox.db",
        f"sqlite://{tmp_path}",
        f"postgres://nobody@127.0.0.1:{free_port()}/none",
    ):
        with pytest.raises(DatabaseError, match=r"^MAILBOX_DATABASE_URL: .+") as away:
            async with connected(url):
                pass
        assert "\n" not in str(away.value)


@pytest.mark.usefixtures("cipher")
async def test_moments_of_any_zone_are_equal_in_raw_sql() -> None:
    there = NOW.astimezone(ZoneInfo("Pacific/Apia"))
    assert as_moment(as_parameter(there)) == NOW
    assert as_text(there) == as_text(NOW) == "2026-01-01 09:30:00+00:00"


_MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2300, 1, 1), timezones=st.timezones())  # noqa: DTZ001


@given(_MOMENTS, _MOMENTS)
def test_the_texts_of_moments_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (as_text(one) < as_text(other)) == (one.astimezone(UTC) < other.astimezone(UTC))


@pytest.mark.slow
async def test_several_processes_may_open_and_migrate_a_new_database_at_once(empty_database_url: str) -> None:
    """One migrates; the others wait and have nothing to do."""
    applied = await _migrate_at_once(empty_database_url)
    assert sorted(applied)[:2] == [0, 0]
    assert max(applied) > 0


_MIGRATE = """
import asyncio, sys
from app.store.database import migrate
print("ready", flush=True)
sys.stdin.readline()
print(len(asyncio.run(migrate(sys.argv[1]))))
"""


async def _migrate_at_once(url: str) -> list[int]:
    """Start three and let them begin together."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _MIGRATE, url),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout
        await process.stdout.readline()
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    return [int(output) for output, _ in outputs]
