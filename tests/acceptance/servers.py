"""The program as its operator runs it: real processes, on free ports, always ended."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import httpx

from tests.acceptance.forks import PROGRAM, ROOT, UVICORN, fork
from tests.postgres import free_port

T = TypeVar("T")
PLAIN: dict[str, Any] = {"verify": False, "timeout": 120}
"""Options for httpx: by default every call loads a hundred certificates, which plain HTTP does not use."""
_numbers = count(1)
PATIENCE = 120.0
"""Seconds to wait for what takes one, on a machine that may be busy."""


class Process(Protocol):
    """The part of `subprocess.Popen` that tests use."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float) -> int: ...
    def kill(self) -> None: ...


class Server:
    """A serving process with its children, in a process group of their own."""

    def __init__(self, process: Process, base: str, log: Path) -> None:
        self._process = process
        self._log = log
        self.base = base
        self.pid = process.pid

    @property
    def log(self) -> str:
        """What it has printed up to now."""
        return self._log.read_text()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; the number of a signal, negated, where one ended it."""
        return self._process.poll()

    def is_up(self) -> bool:
        """Whether /healthz answers; raises AssertionError with its log where the process has ended."""
        assert self.exit_code is None, f"it ended with {self.exit_code}:\n{self.log}"
        try:
            return httpx.get(f"{self.base}/healthz", **PLAIN | {"timeout": 2}).is_success
        except httpx.TransportError:
            return False

    def terminate(self, within: float = PATIENCE) -> int:
        """Ask the process to stop, as a service manager does; return its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self._process.wait(within)

    def kill(self) -> None:
        """End the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        with contextlib.suppress(AssertionError):  # where init reaps no orphans they stay as zombies, harmlessly
            eventually(self._is_gone, within=2)

    def _is_gone(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        return False


class Program:
    """The program with its settings, in a working folder of its own.

    Settings are named without their prefix: `Program(tmp_path, FIRST_DELAY="PT5S")`. Every server
    that it starts gets a port, so several may run at once, on one database.
    """

    def __init__(self, folder: Path, source: Path = ROOT, /, **settings: str) -> None:
        self.folder = folder
        self.source = source
        self.entry: tuple[str, ...] = ()
        """The command line that replaces `slow-mailbox`, if any."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAILBOX_", "PYTHON"))}
        chosen = {f"MAILBOX_{name}": value for name, value in settings.items()}
        self.environment = outside | {"PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"} | chosen

    def run(self, *args: str, within: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run `slow-mailbox` with these arguments to its end; the caller looks at the exit code."""
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            ended = self._begin(args, output, errors).wait(within)
            for file in (output, errors):
                file.seek(0)
            return subprocess.CompletedProcess(args, ended, output.read(), errors.read())

    @contextlib.contextmanager
    def start(self, *args: str) -> Iterator[Process]:
        """Run `slow-mailbox` with these arguments beside the test, until the block ends."""
        with (self.folder / f"command-{next(_numbers)}.log").open("wb") as output:
            process = self._begin(args, output)
        try:
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE)

    def audit(self) -> dict[str, Any]:
        """Return the ledger's sums, which must add up."""
        ended = self.run("audit")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        sums: dict[str, Any] = json.loads(ended.stdout)
        return sums

    @contextlib.contextmanager
    def serve(self, *options: str) -> Iterator[Server]:
        """Run `slow-mailbox serve` until the block ends; it is entered once /healthz answers."""
        port = free_port()
        with self._serving(port, PROGRAM, ("serve", "--port", str(port), *options)) as server:
            yield server

    @contextlib.contextmanager
    def uvicorn(self, *options: str) -> Iterator[Server]:
        """Run the same under plain `uvicorn`."""
        port = free_port()
        factory = ("--factory", "app.web.app:create_app", "--port", str(port))
        with self._serving(port, UVICORN, (*factory, *options)) as server:
            yield server

    @contextlib.contextmanager
    def _serving(self, port: int, what: str, args: tuple[str, ...]) -> Iterator[Server]:
        log = self.folder / f"server-{next(_numbers)}.log"
        with log.open("wb") as output:
            process = self._begin(args, output, what=what, MAILBOX_PORT=str(port))
        server = Server(process, f"http://127.0.0.1:{port}", log)
        try:
            eventually(server.is_up)
            yield server
        finally:
            server.kill()

    def _begin(self, args: tuple[str, ...], *output: IO[Any], what: str = PROGRAM, **more: str) -> Process:
        """Start a process: forked, unless it is to run from another source or has another entry."""
        environment = self.environment | more
        if self.source == ROOT and not self.entry:
            return fork(what, args, self.folder, environment, *output)
        module = what.partition(":")[0]
        return subprocess.Popen(
            (*(self.entry or (sys.executable, "-c", f"from {module} import main; main()")), *args),
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output[0],
            stderr=output[-1],
            start_new_session=True,
        )


def post_letter(base: str, **fields: str) -> httpx.Response:
    """Post the form, with a reader and a text where none is given. The answer's redirect is not followed."""
    letter = {"recipient_email": "reader@example.org", "body": "Hello"} | fields
    return httpx.post(f"{base}/letters", data=letter, **PLAIN)


def eventually(question: Callable[[], T], within: float = PATIENCE) -> T:
    """Poll until the answer is true and return it. Only for what other processes do.

    Raises AssertionError with the last answer where `within` seconds were not enough.
    """
    deadline = time.monotonic() + within
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still {answer!r} after {within} s"
        time.sleep(0.05)
    return answer


def copy_of_the_source(folder: Path) -> Path:
    """Copy what a running program reads, so that a test may touch it under --reload."""
    for name in ("app", "migrations", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder
