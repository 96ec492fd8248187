"""Databases that are not as the program would have them: newer than it, or behind a connection pooler."""

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.acceptance.seed import KEY
from tests.acceptance.servers import PLAIN, Program, eventually, post_letter
from tests.pgbouncer import pgbouncer

pytestmark = pytest.mark.slow


def test_a_database_of_a_newer_version_is_refused_by_every_command(sqlite_url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite://"))) as other, other:
        other.execute(
            "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('mailbox', '9999_later', '2030')"
        )
    program = Program(tmp_path, DATABASE_URL=sqlite_url, SECRET_KEY=KEY)
    for command in ("serve", "scan", "migrate", "audit", "pause", "purge", "vacuum"):
        refused = program.run(command)
        assert refused.returncode == 2
        assert refused.stderr.splitlines()[-1].startswith(
            "slow-mailbox: the database is newer than this program: it has"
        )
    examined = program.run("doctor")
    assert examined.returncode == 1
    assert "newer than this program: it has 9999_later" in examined.stdout


def test_the_program_works_behind_pgbouncer(postgres_url: str, tmp_path: Path) -> None:
    with pgbouncer(postgres_url) as url:
        program = Program(tmp_path, DATABASE_URL=url, SECRET_KEY=KEY, SCAN_INTERVAL="PT1S", FIRST_DELAY="PT1S")
        for _ in range(2):
            with program.serve("--workers", "2") as server:
                answers = [post_letter(server.base, recipient_email=f"{n}@example.org") for n in range(10)]
                assert {answer.status_code for answer in answers} == {303}
                eventually(lambda: httpx.get(f"{server.base}/readyz", **PLAIN).status_code == 200)
                assert "connection pooler" in server.log
                assert "Traceback" not in server.log
            examined = program.run("doctor")
            assert "problem  database" not in examined.stdout
            assert "Traceback" not in examined.stderr
        eventually(lambda: program.run("scan").returncode in (0, 1) and program.audit()["by_status"]["sent"] == 20)
