"""The scheduler runs once: under reload, under several workers, on several servers. Real processes."""

import asyncio
import itertools
import json
import os
import re
import signal
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.store.database import connected
from app.store.models import Lease, Worker
from app.store.workers import SCHEDULER
from tests.acceptance.mailserver import mail_server
from tests.acceptance.seed import KEY, seed
from tests.acceptance.servers import PATIENCE, PLAIN, Program, Server, copy_of_the_source, eventually, post_letter

pytestmark = pytest.mark.slow
LETTERS = 600
STARTED, STOPPED = "scheduler started", "scheduler stopped"


def _running(*logs: str) -> int:
    """Return how many schedulers run by what the servers logged."""
    return sum(log.count(STARTED) - log.count(STOPPED) for log in logs)


def _never_two(log: str) -> None:
    """Check the order of one server's log: each scheduler stops before the next one starts."""
    events = re.findall(f"{STARTED}|{STOPPED}", log)
    assert all(one != other for one, other in itertools.pairwise(events)), events


def _leaders(log: str) -> list[int]:
    """Return the processes that started a scheduler, oldest first. A worker is called host:pid."""
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [int(event["worker"].rpartition(":")[2]) for event in events if event["event"] == STARTED]


async def _heartbeat_counters(database_url: str) -> list[int]:
    async with connected(database_url):
        return [worker.beat for worker in await Worker.all()]


def _all_have_ticked(database_url: str, workers: int) -> bool:
    """Whether every process has had the chance to lead, twice."""
    beats = asyncio.run(_heartbeat_counters(database_url))
    return len(beats) == workers and min(beats) >= 2


async def _lease(database_url: str) -> tuple[int, str]:
    """Return how often the lease was taken, and the process that holds it."""
    async with connected(database_url):
        lease = await Lease.get(name=SCHEDULER).select_related("worker")
        assert lease.worker
        return lease.term, lease.worker.name.rpartition(":")[2]


def _has_started(server: Server, times: int) -> bool:
    return server.log.count(STARTED) == times


def test_reload_never_runs_two_and_hands_over_at_once(tmp_path: Path) -> None:
    source = copy_of_the_source(tmp_path / "source")
    program = Program(source, source, LEASE="PT1H")  # an hour: only a freed lease lets the next one start
    assert program.run("migrate").returncode == 0
    with program.uvicorn("--reload", "--reload-dir", str(source / "app")) as server:
        for _ in range(3):
            before = server.log.count(STARTED)
            (source / "app" / "clock.py").touch()
            eventually(partial(_has_started, server, before + 1))
        assert _running(server.log) == 1
        _never_two(server.log)
        token = post_letter(server.base).headers["location"].rpartition("/")[2]
        assert httpx.get(f"{server.base}/letters/{token}", **PLAIN).is_success
        assert token not in server.log  # uvicorn's own access log would hold it


def test_four_workers_run_one_scheduler_and_replace_it(tmp_path: Path, database_url: str) -> None:
    program = Program(tmp_path, DATABASE_URL=database_url, LEASE="PT6S")
    with program.serve("--workers", "4") as server:
        eventually(lambda: _all_have_ticked(database_url, 4))
        (leader,) = _leaders(server.log)
        assert asyncio.run(_lease(database_url)) == (1, str(leader))
        os.kill(leader, signal.SIGKILL)
        eventually(lambda: len(_leaders(server.log)) == 2)
        heir = _leaders(server.log)[1]
        assert heir != leader
        assert asyncio.run(_lease(database_url)) == (2, str(heir))


def test_two_servers_on_one_database_run_one(tmp_path: Path, database_url: str) -> None:
    program = Program(tmp_path, DATABASE_URL=database_url, LEASE="PT6S")
    with program.serve() as one, program.serve() as other:
        eventually(lambda: _all_have_ticked(database_url, 2))
        assert _running(one.log, other.log) == 1
        leader, follower = (one, other) if STARTED in one.log else (other, one)
        leader.kill()
        eventually(lambda: STARTED in follower.log)


def test_a_leader_that_stops_hands_over_at_once(tmp_path: Path, database_url: str) -> None:
    program = Program(tmp_path, DATABASE_URL=database_url, LEASE="PT1H")
    with program.serve() as one:
        eventually(lambda: STARTED in one.log)
        with program.serve() as other:
            one.terminate()
            eventually(lambda: STARTED in other.log)
            assert STOPPED in one.log


def test_two_that_scan_at_once_send_each_letter_once(tmp_path: Path, database_url: str) -> None:
    seed(database_url, LETTERS)
    with mail_server(tmp_path) as mails:
        program = Program(tmp_path, DATABASE_URL=database_url, SMTP_URL=mails.url, SECRET_KEY=KEY)
        with program.start("scan") as one, program.start("scan") as other:
            assert (one.wait(PATIENCE), other.wait(PATIENCE)) == (0, 0)
        assert set(mails.arrived().values()) == {1}
        assert len(mails.arrived()) == LETTERS
    assert program.audit()["by_status"]["sent"] == LETTERS
