"""Where letters cannot be kept, /readyz says so and a letter is refused with its text in the form (P20)."""

import contextlib
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.crypto import Cipher
from app.errors import DatabaseError, KeyMissing
from app.settings import Settings
from app.store.cipher import open_cipher
from app.store.database import connected, connection
from app.store.key_rotation import record_key, rotate
from app.store.models import Letter
from app.wiring import open_services
from tests.clock import FrozenClock
from tests.web.requests import LETTER, asking, post, posted

pytestmark = pytest.mark.anyio

MOMENT = timedelta(seconds=3)
OLD, NEW = "k" * 32, "n" * 32
_MIGRATED_LATER = (
    "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('mailbox', '9999_later', '2026-01-01 00:00:00')"
)


async def _assert_refused(
    client: httpx.AsyncClient, clock: FrozenClock, wrong: str, *, state: str = "database"
) -> None:
    """What was found is kept for two seconds, so these go by first."""
    clock.advance(MOMENT)
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert wrong in ready.json()["wrong"][0]
    assert ready.json()[state] not in ("ok", "unknown")
    page = await post(client, subject="kept by the form")
    assert page.status_code == 503
    assert 'value="kept by the form"' in page.text
    assert "the sea is calm" in page.text
    assert (await client.post("/api/letters", json=LETTER)).status_code == 503


async def _assert_taken(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    clock.advance(MOMENT)
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["wrong"]) == (200, [])
    assert (await post(client)).status_code == 303


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("trouble", ["moved", "deleted", "replaced"])
async def test_a_file_that_is_no_longer_at_its_path(
    client: httpx.AsyncClient, clock: FrozenClock, trouble: str, sqlite_template: Path, tmp_path: Path
) -> None:
    file, elsewhere = tmp_path / "mailbox.db", tmp_path / "elsewhere.db"
    await _assert_taken(client, clock)
    file.rename(elsewhere)
    if trouble == "replaced":
        shutil.copyfile(sqlite_template, file)
    await _assert_refused(client, clock, "moved, deleted or replaced")
    if trouble == "moved":
        elsewhere.rename(file)
        await _assert_taken(client, clock)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_file_that_is_exchanged_between_two_posts_takes_none(
    client: httpx.AsyncClient, sqlite_template: Path, tmp_path: Path
) -> None:
    """However short ago all was found in order."""
    assert (await post(client)).status_code == 303
    (tmp_path / "mailbox.db").unlink()
    shutil.copyfile(sqlite_template, tmp_path / "mailbox.db")
    assert (await post(client)).status_code == 503


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of some megabytes of its own; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder))
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk of its own can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "-l", str(folder)), check=True)


async def test_a_full_disk(small_disk: Path, sqlite_template: Path, clock: FrozenClock, tmp_path: Path) -> None:
    shutil.copyfile(sqlite_template, small_disk / "mailbox.db")
    settings = Settings(database_url=f"sqlite://{small_disk}/mailbox.db", outbox_dir=tmp_path / "outbox")
    async with open_services(settings, clock) as services, asking(services) as client:
        await _assert_taken(client, clock)
        with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 512):
                pass
        answers = [await post(client) for _ in range(50)]  # the log has a little room left
        assert answers[-1].status_code == 503
        await _assert_refused(client, clock, "disk is full")
        (small_disk / "filler").unlink()
        await _assert_taken(client, clock)


@pytest.mark.slow
async def test_a_database_that_became_read_only(local_postgres_url: str, clock: FrozenClock, tmp_path: Path) -> None:
    settings = Settings(database_url=local_postgres_url, outbox_dir=tmp_path / "outbox")
    other = await asyncpg.connect(local_postgres_url)
    async with open_services(settings, clock) as services, asking(services) as client:
        await _assert_taken(client, clock)
        try:
            await other.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await other.execute("SELECT pg_reload_conf()")
            while await other.fetchval("SHOW default_transaction_read_only") != "on":
                pass
            await _assert_refused(client, clock, "read-only")
        finally:
            await other.execute("SET default_transaction_read_only = off")
            await other.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await other.execute("SELECT pg_reload_conf()")
    await other.close()


async def test_a_schema_that_another_version_migrated(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    await _assert_taken(client, clock)
    await connection().execute_query(_MIGRATED_LATER)
    await _assert_refused(client, clock, "9999_later", state="migrations")


async def test_a_newer_schema_is_refused_at_every_start(database_url: str) -> None:
    async with connected(database_url):
        await connection().execute_query(_MIGRATED_LATER)
    with pytest.raises(DatabaseError, match="newer than this program: it has 9999_later; run the version"):
        async with connected(database_url):
            pass


async def test_a_key_that_another_process_began_to_seal_with(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    await _assert_taken(client, clock)
    new = Cipher([NEW])
    await connection().execute_query(f"INSERT INTO secrets (name, sealed) VALUES ('key {new.key_ids}', 'x')")
    await _assert_refused(client, clock, new.key_ids, state="keys")


async def test_a_rotation_broken_off_and_its_old_key_taken_away(
    database_url: str, clock: FrozenClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every letter that was looked at opens; the others would be answered with a 500."""

    class Killed(Exception):
        pass

    def die(_: int) -> None:
        raise Killed

    def settings(*keys: str) -> Settings:
        return Settings(database_url=database_url, outbox_dir=tmp_path / "outbox", secret_key=keys)

    async with open_services(settings(OLD), clock) as services, asking(services) as client:
        await record_key(services.cipher)  # as the server does when it starts
        for _ in range(5):
            await posted(client)
    monkeypatch.setattr("app.store.key_rotation._BATCH", 3)
    async with open_services(settings(NEW, OLD), clock) as services:
        with pytest.raises(Killed):
            await rotate(services.cipher, Cipher([NEW, OLD]), die)
    old = Cipher([OLD]).key_ids
    with pytest.raises(KeyMissing, match=f"sealed with the key {old}, which it does not hold"):
        async with open_services(settings(NEW), clock):
            pass
    async with open_services(settings(NEW, OLD), clock) as services:
        assert (await rotate(services.cipher, Cipher([NEW, OLD]), lambda _: None)).complete
    async with open_services(settings(NEW), clock):
        assert await Letter.all().count() == 5


async def test_a_key_that_sealed_nothing_may_go(database_url: str, clock: FrozenClock) -> None:
    """A new key was put first, and taken back before anything came in."""
    async with connected(database_url):
        await open_cipher(Cipher([OLD]))
        await record_key(await open_cipher(Cipher([NEW, OLD])))
    async with open_services(Settings(database_url=database_url, secret_key=(OLD,)), clock) as services:
        assert await services.readiness.faults() == []


@pytest.mark.slow
async def test_a_file_that_another_process_locks(client: httpx.AsyncClient, clock: FrozenClock, tmp_path: Path) -> None:
    file = tmp_path / "mailbox.db"
    if not file.exists():
        pytest.skip("of PostgreSQL nobody locks everything")
    token = await posted(client)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for path in ("/", f"/letters/{token}", "/metrics"):
            began = time.monotonic()
            assert (await client.get(path)).status_code == 200
            assert time.monotonic() - began < 4, path
        began = time.monotonic()
        await _assert_refused(client, clock, "locked or too slow")
        assert time.monotonic() - began < 12
        other.rollback()
    await _assert_taken(client, clock)
