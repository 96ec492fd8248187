"""The database goes away, fills up or refuses to write while letters are sent. Real servers, real processes.

What the mail server has accepted is settled when the database is back, and is not sent again.
"""

import asyncio
import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.acceptance.mailserver import MailServer, mail_server
from tests.acceptance.seed import KEY, seed
from tests.acceptance.servers import Program, eventually, post_letter
from tests.postgres import LocalPostgres

pytestmark = pytest.mark.slow
LETTERS = 600
_UNAVAILABLE = "database unavailable"
Trouble = Callable[[], contextlib.AbstractContextManager[None]]


def _send_through(trouble: Trouble, program: Program, mails: MailServer, moments: int = 2) -> None:
    """Cause trouble during a scan, a few times, and check that every letter arrives once."""
    with program.serve() as server:
        for moment in range(1, moments + 1):
            before = LETTERS * moment // (moments + 2)
            eventually(lambda: len(mails.arrived()) >= before)  # noqa: B023 - asked at once
            seen = server.log.count(_UNAVAILABLE)
            with trouble():
                eventually(lambda: server.log.count(_UNAVAILABLE) > seen)  # noqa: B023
        assert post_letter(server.base).status_code == 303  # the next request works, without a restart of ours
        eventually(lambda: len(mails.arrived()) >= LETTERS)
        eventually(lambda: _settled(program))
    assert set(mails.arrived().values()) == {1}
    assert len(mails.arrived()) == LETTERS


def _settled(program: Program) -> bool:
    ended = program.run("audit")
    return f'"sent": {LETTERS}' in ended.stdout


@pytest.fixture
def mails(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path) as server:
        yield server


def _program(folder: Path, url: str, mails: MailServer) -> Program:
    seed(url, LETTERS, domains=10)
    return Program(
        folder, DATABASE_URL=url, SMTP_URL=mails.url, SECRET_KEY=KEY, SCAN_INTERVAL="PT1S", LEASE="PT6S",
        SMTP_CONNECTIONS="5",
    )  # fmt: skip


def test_postgres_restarts(
    local_postgres: LocalPostgres, local_postgres_url: str, mails: MailServer, tmp_path: Path
) -> None:
    program = _program(tmp_path, local_postgres_url, mails)
    _send_through(local_postgres.stopped, program, mails)


def test_postgres_is_read_only(local_postgres_url: str, mails: MailServer, tmp_path: Path) -> None:
    @contextlib.contextmanager
    def read_only() -> Iterator[None]:
        _execute(local_postgres_url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        try:
            yield
        finally:
            _execute(
                local_postgres_url,
                "SET default_transaction_read_only = off",
                "ALTER SYSTEM RESET default_transaction_read_only",
                "SELECT pg_reload_conf()",
            )

    _send_through(read_only, _program(tmp_path, local_postgres_url, mails), mails)


def test_postgres_takes_no_connection(local_postgres_url: str, mails: MailServer, tmp_path: Path) -> None:
    """Cut every connection and let no new one in, as at a failover."""
    database = local_postgres_url.rpartition("/")[2]
    elsewhere = local_postgres_url.removesuffix(database) + "postgres"

    @contextlib.contextmanager
    def closed() -> Iterator[None]:
        _execute(
            elsewhere,
            f"ALTER DATABASE {database} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",
        )
        try:
            yield
        finally:
            _execute(elsewhere, f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")

    _send_through(closed, _program(tmp_path, local_postgres_url, mails), mails)


def test_the_disk_is_full(mails: MailServer, small_disk: Path, sqlite_template: Path, tmp_path: Path) -> None:
    database = small_disk / "mailbox.db"
    database.write_bytes(sqlite_template.read_bytes())
    program = _program(tmp_path, f"sqlite://{database}", mails)
    filler = small_disk / "filler"

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        try:
            yield
        finally:
            filler.unlink()

    _send_through(full, program, mails)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of some megabytes of its own; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder))
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk of its own can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "-l", str(folder)), check=True)


def _execute(url: str, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
