"""SIGTERM in the middle of scans: nothing doubled, nothing left claimed. Real processes.

The suite stops a few times. The hundred of docs/benchmarks.md:

    MAILBOX_TEST_STOPS=100 make test ARGS="tests/acceptance/test_stopping.py -s"
"""

import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.mailserver import mail_server
from tests.acceptance.seed import KEY, seed
from tests.acceptance.servers import PATIENCE, Program, eventually

STOPS = int(os.environ.get("MAILBOX_TEST_STOPS", "3"))
BETWEEN = 60  # letters, about, from one stop to the next

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + STOPS * 15)]


def test_stopping_in_the_middle_of_scans_doubles_nothing(database_url: str, tmp_path: Path) -> None:
    letters = (STOPS + 1) * BETWEEN * 2
    seed(database_url, letters, domains=10)
    chance = random.Random(STOPS)
    with mail_server(tmp_path) as mails:
        program = Program(tmp_path, DATABASE_URL=database_url, SMTP_URL=mails.url, SECRET_KEY=KEY, LEASE="PT1H")
        for _ in range(STOPS):
            target = min(len(mails.arrived()) + chance.randrange(1, BETWEEN * 2), letters)
            with program.serve() as server:
                eventually(lambda: len(mails.arrived()) >= target)  # noqa: B023 - asked at once
                assert server.terminate() in (0, -signal.SIGTERM)
            states = program.audit()["by_status"]
            assert states["claimed"] == states["uncertain"] == 0
            assert states["sent"] == len(mails.arrived())
        with program.start("scan") as scan:
            assert scan.wait(PATIENCE) == 0
        assert set(mails.arrived().values()) == {1}
        assert len(mails.arrived()) == letters


def test_a_second_signal_stops_at_once_and_the_ledger_recovers(database_url: str, tmp_path: Path) -> None:
    seed(database_url, 1, reader="body-stall")
    with mail_server(tmp_path) as mails:
        program = Program(
            tmp_path,
            DATABASE_URL=database_url,
            SMTP_URL=mails.url,
            SECRET_KEY=KEY,
            ON_UNCERTAIN="hold",
            LEASE="PT2S",
        )
        with program.serve() as server:
            eventually(mails.arrived)  # and its answer never comes
            os.kill(server.pid, signal.SIGTERM)
            eventually(lambda: "scheduler stopped" in server.log)  # it drains, and would do so for half a minute
            os.kill(server.pid, signal.SIGTERM)
            eventually(lambda: server.exit_code is not None, within=20)  # less than it would drain
        with program.serve():
            eventually(partial(_stands, program, "uncertain"))


def _stands(program: Program, status: str) -> bool:
    return bool(program.audit()["by_status"][status])
