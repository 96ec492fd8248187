"""The log cannot be written any more, and then the database restarts (P17). Real processes."""

import contextlib
import fcntl
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.mailserver import mail_server
from tests.acceptance.seed import KEY
from tests.acceptance.servers import PLAIN, Program, Server, eventually, post_letter
from tests.postgres import LocalPostgres, free_port

pytestmark = pytest.mark.slow
Breaking = Callable[[], contextlib.AbstractContextManager[tuple[int, Callable[[], None]]]]


@contextlib.contextmanager
def _reader_gone() -> Iterator[tuple[int, Callable[[], None]]]:
    """A pipe whose reader goes away."""
    reading, writing = os.pipe()
    yield writing, lambda: os.close(reading)


@contextlib.contextmanager
def _reader_stuck() -> Iterator[tuple[int, Callable[[], None]]]:
    """A pipe whose reader never reads: a page of lines fills it."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield writing, lambda: None
    os.close(reading)


@contextlib.contextmanager
def _disk_full() -> Iterator[tuple[int, Callable[[], None]]]:
    """A disk that is full."""
    yield os.open("/dev/full", os.O_WRONLY), lambda: None


@pytest.mark.parametrize("breaking", [_reader_gone, _reader_stuck, _disk_full])
def test_sending_goes_on(
    breaking: Breaking, local_postgres: LocalPostgres, local_postgres_url: str, tmp_path: Path
) -> None:
    with mail_server(tmp_path) as mails, breaking() as (log, break_off):
        program = Program(
            tmp_path, DATABASE_URL=local_postgres_url, SMTP_URL=mails.url, SECRET_KEY=KEY, SCAN_INTERVAL="PT1S",
            LEASE="PT3S", FIRST_DELAY="PT1S",
        )  # fmt: skip
        with _serving(program, log, tmp_path / "output") as server:
            post_letter(server.base)
            eventually(lambda: len(mails.arrived()) == 1)
            break_off()
            for letters in (2, 3):
                with local_postgres.stopped():
                    eventually(lambda: post_letter(server.base).status_code == 503)
                    until = time.monotonic() + 3  # several heartbeats, which are written every half second
                    eventually(lambda: time.monotonic() > until)  # noqa: B023 - called at once
                eventually(lambda: post_letter(server.base).status_code == 303)
                eventually(lambda: len(mails.arrived()) >= letters)  # noqa: B023 - asked at once
            metrics = httpx.get(f"{server.base}/metrics", **PLAIN).text
            for name in ("log_failures_total", "loop_errors_total"):
                values = re.findall(rf"^slow_mailbox_{name}.* (\S+)$", metrics, re.MULTILINE)
                assert sum(map(float, values)) > 0, name
            assert server.terminate() in {0, -signal.SIGTERM}
        assert set(mails.arrived().values()) == {1}


@contextlib.contextmanager
def _serving(program: Program, log: int, output: Path) -> Iterator[Server]:
    """Run `slow-mailbox serve` whose stderr is `log`."""
    port = free_port()
    with output.open("wb") as stdout, os.fdopen(log, "wb") as stderr:
        process = program._begin(("serve", "--port", str(port)), stdout, stderr)
    server = Server(process, f"http://127.0.0.1:{port}", output)
    try:
        eventually(server.is_up)
        yield server
    finally:
        server.kill()
