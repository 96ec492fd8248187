"""The clock is days off at the start, or the machine was off for days. Real processes under libfaketime."""

import asyncio
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.store.database import connected
from app.store.models import JobRun, Worker
from tests.acceptance.faked_clock import SYNCHRONISED
from tests.acceptance.mailserver import MailServer, mail_server
from tests.acceptance.seed import KEY
from tests.acceptance.servers import PLAIN, Program, Server, eventually, post_letter

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
AHEAD, BEHIND = "the clock is far ahead", "the clock is behind"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FAKETIME.exists(), reason="there is no libfaketime: apt-get install faketime"),
]


@pytest.fixture
def mails(tmp_path: Path) -> Iterator[MailServer]:
    with mail_server(tmp_path) as server:
        yield server


@pytest.fixture
def program(sqlite_url: str, tmp_path: Path, mails: MailServer) -> Program:
    settings = {"SMTP_URL": mails.url, "SECRET_KEY": KEY, "SCAN_INTERVAL": "PT1S", "LEASE": "PT3S"}
    program = Program(tmp_path, DATABASE_URL=sqlite_url, FIRST_DELAY="P2D", **settings)
    program.entry = (sys.executable, "-m", "tests.acceptance.faked_clock")
    return program


def _set_clock(program: Program, clock: str) -> None:
    """Set the wall clock as faketime(1) does, and let time pass at its real pace."""
    real_intervals = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    program.environment |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME": clock, **real_intervals}


def _reset_clock(program: Program) -> None:
    del program.environment["LD_PRELOAD"]


async def _has_scanned(url: str) -> bool:
    async with connected(url):
        return await JobRun.exists()


async def _heartbeat_counter(url: str) -> int:
    async with connected(url):
        return max([worker.beat for worker in await Worker.all()], default=0)


def _post_and_stop(program: Program) -> None:
    """Take a letter that is due in two days, scan once, and stop."""
    url = program.environment["MAILBOX_DATABASE_URL"]
    with program.serve() as server:
        assert post_letter(server.base).status_code == 303
        eventually(lambda: asyncio.run(_has_scanned(url)))
        server.terminate()


def _serves_and_sends_nothing(program: Program, server: Server, mails: MailServer) -> None:
    url = program.environment["MAILBOX_DATABASE_URL"]
    eventually(lambda: AHEAD in server.log)
    beats = asyncio.run(_heartbeat_counter(url))
    eventually(lambda: asyncio.run(_heartbeat_counter(url)) >= beats + 4)  # longer than a scan interval
    assert httpx.get(f"{server.base}/", **PLAIN).is_success
    assert post_letter(server.base).status_code == 303
    assert not mails.arrived()


def test_ten_days_ahead_nothing_is_sent_early_and_sending_resumes_when_it_is_set_back(
    program: Program, mails: MailServer
) -> None:
    _post_and_stop(program)
    _set_clock(program, "+10d")
    with program.serve("--workers", "2") as server:  # the clock of one is no evidence for the other
        _serves_and_sends_nothing(program, server, mails)
    with program.serve() as server:  # not at the next start either
        _serves_and_sends_nothing(program, server, mails)
    _reset_clock(program)
    with program.serve() as server:
        eventually(lambda: "scheduler started" in server.log)
        assert AHEAD not in server.log
    assert program.audit()["by_status"]["sent"] == 0


def test_after_three_days_of_downtime_due_letters_are_sent_once_the_clock_is_synchronised(
    program: Program, mails: MailServer, tmp_path: Path
) -> None:
    _set_clock(program, "-3d")
    _post_and_stop(program)
    _reset_clock(program)
    with program.serve() as server:
        _serves_and_sends_nothing(program, server, mails)
        (tmp_path / SYNCHRONISED).touch()
        eventually(lambda: len(mails.arrived()) == 1)


@pytest.mark.parametrize("command", ["serve", "scan"])
def test_an_unsynchronised_clock_delays_sending_by_the_longest_wait_at_most(
    command: str, program: Program, mails: MailServer
) -> None:
    _set_clock(program, "-3d")
    _post_and_stop(program)
    _reset_clock(program)
    program.environment["LONGEST_WAIT"] = "3"
    if command == "scan":
        ended = program.run("scan")
        assert (ended.returncode, AHEAD in ended.stderr) == (0, True)
        assert len(mails.arrived()) == 1
        return
    with program.serve() as server:
        eventually(lambda: len(mails.arrived()) == 1)
        assert AHEAD in server.log


def test_after_three_days_of_downtime_a_synchronised_clock_passes_at_once(
    program: Program, mails: MailServer, tmp_path: Path
) -> None:
    _set_clock(program, "-3d")
    _post_and_stop(program)
    _reset_clock(program)
    (tmp_path / SYNCHRONISED).touch()
    with program.serve() as server:
        eventually(lambda: len(mails.arrived()) == 1)
        assert "sending waits" not in server.log


def test_a_clock_at_1970_is_reported_and_breaks_no_page(program: Program) -> None:
    _post_and_stop(program)
    _set_clock(program, "@1970-01-01 00:00:10")
    with program.serve() as server:
        eventually(lambda: BEHIND in server.log)
        eventually(partial(_alert_fires, server))
        answer = post_letter(server.base, sender_email="mina@example.org")
        assert answer.status_code == 303, server.log
        for page in (answer.headers["location"], "/", "/readyz", "/metrics", "/admin/login"):
            assert httpx.get(f"{server.base}{page}", **PLAIN).is_success, page
        assert "Traceback" not in server.log


def _alert_fires(server: Server) -> bool:
    return '"alert": "clock"' in server.log
