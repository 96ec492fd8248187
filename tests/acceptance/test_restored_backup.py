"""A backup taken while letters are sent, restored elsewhere by the guide's steps: nothing twice, nothing lost."""

import json
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.mailserver import MailServer, mail_server
from tests.acceptance.seed import KEY, seed
from tests.acceptance.servers import Program, eventually
from tests.postgres import LocalPostgres

pytestmark = pytest.mark.slow
LETTERS = 600
RATE = "3000"  # letters a minute, so that many are left when the backup is taken and the program killed


class SqliteBackup:
    """By SQLite's own online backup, as `sqlite3 mailbox.db ".backup …"` does it."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._copy = database.with_suffix(".backup")

    def take(self) -> None:
        with closing(sqlite3.connect(self._database)) as source, closing(sqlite3.connect(self._copy)) as copy:
            source.backup(copy)

    def restore(self) -> str:
        return f"sqlite://{self._copy}"


class PostgresBackup:
    """By pg_dump and psql."""

    def __init__(self, server: LocalPostgres, url: str, folder: Path) -> None:
        self._server = server
        self._url = url
        self._dump = folder / "dump.sql"

    def take(self) -> None:
        self._run("pg_dump", "--no-owner", "-f", str(self._dump), self._url)

    def restore(self) -> str:
        database = f"{self._url}_restored"
        self._run("psql", "-c", f"CREATE DATABASE {database.rpartition('/')[2]}", self._server.url("postgres"))
        self._run("psql", "-q", "-f", str(self._dump), database)
        return database

    def _run(self, command: str, *args: str) -> None:
        subprocess.run((self._server.program(command), *args), check=True, capture_output=True)


@pytest.fixture
def sqlite_backup(sqlite_url: str) -> tuple[str, SqliteBackup]:
    return sqlite_url, SqliteBackup(Path(sqlite_url.removeprefix("sqlite://")))


@pytest.fixture
def postgres_backup(
    local_postgres: LocalPostgres, local_postgres_url: str, tmp_path: Path
) -> tuple[str, PostgresBackup]:
    return local_postgres_url, PostgresBackup(local_postgres, local_postgres_url, tmp_path)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_restored_backup_sends_nothing_twice(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url, backup = request.getfixturevalue(f"{kind}_backup")
    seed(url, LETTERS, domains=10)
    with mail_server(tmp_path) as mails:
        lost = _program(tmp_path, url, mails)
        lost.environment["MAILBOX_RATE"] = RATE
        with lost.serve() as server:
            eventually(lambda: len(mails.arrived()) > LETTERS / 12)
            backup.take()
            kept = len(mails.arrived())
            eventually(lambda: len(mails.arrived()) > kept + LETTERS / 12)
            server.kill()
    sent_before = mails.arrived()  # the mail server has stopped, so no late one follows
    assert len(sent_before) < LETTERS

    with mail_server(tmp_path) as mails:
        restored = _program(tmp_path, backup.restore(), mails)
        assert restored.run("migrate").returncode == 0
        _pause(restored, kind)
        with restored.serve():  # serves pages, sends nothing
            since = (datetime.now(UTC) - timedelta(days=8)).isoformat()
            assert _report(restored, "hold", "--due-since", since)["held"] > LETTERS - len(sent_before)
            settled = _report(restored, "audit", "--against", str(mails.log))["against"]
            assert settled["settled"] > 0
            assert (settled["unknown"], settled["left"]) == (0, {})
            _report(restored, "release")
            assert mails.arrived() == sent_before
        _resume(restored, kind)
        assert restored.run("scan").returncode == 0
        assert set(mails.arrived().values()) == {1}
        assert len(mails.arrived()) == LETTERS
        assert restored.audit()["by_status"]["sent"] == LETTERS


def _pause(program: Program, kind: str) -> None:
    """Keep every process from sending: by the setting on one database, by the command on the other."""
    if kind == "sqlite":
        program.environment["MAILBOX_PAUSED"] = "on"
    else:
        assert program.run("pause").returncode == 0


def _resume(program: Program, kind: str) -> None:
    if kind == "sqlite":
        del program.environment["MAILBOX_PAUSED"]
    else:
        assert program.run("resume").returncode == 0


def _program(folder: Path, url: str, mails: MailServer) -> Program:
    return Program(
        folder, DATABASE_URL=url, SMTP_URL=mails.url, SECRET_KEY=KEY, LEASE="PT3S", SMTP_CONNECTIONS="5"
    )  # fmt: skip


def _report(program: Program, *args: str) -> Any:
    ended = program.run(*args)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
