"""Forks processes from one that has imported the program's modules: that takes a tenth of the time to start one.

`python -m tests.acceptance.forks CONTROL` is that process, the fork server. Its child is what a service manager
would have started: with a session, a folder, an environment and files of its own.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
PROGRAM, UVICORN, MAIL_SERVER = "app.cli:main", "uvicorn:main", "tests.smtp_server:main"
_PRELOADED = ("app.cli", "app.web.app", "uvicorn", "app.web.protocol", "tests.smtp_server")
_LARGE = 1 << 20  # bytes; more than an environment


class Forked:
    """A child of the fork server; its exit code is reported on a socket."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid = pid
        self._report = report
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        with contextlib.suppress(TimeoutError, BlockingIOError):
            return self.wait(0)
        return None

    def wait(self, timeout: float) -> int:
        """Return the exit code; the number of a signal, negated, where one ended it. Raises TimeoutError."""
        if self._exit_code is None:
            self._report.settimeout(timeout)
            self._exit_code = int(self._report.recv(_LARGE))
            self._report.close()
        return self._exit_code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def fork(what: str, args: Sequence[str], folder: Path, environment: Mapping[str, str], *output: IO[Any]) -> Forked:
    """Run a function `module:name` with arguments; `output` is where its stdout and stderr go, one file or two."""
    report, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    request = {"what": what, "args": args, "folder": str(folder), "environment": dict(environment)}
    files = [theirs.fileno(), output[0].fileno(), output[-1].fileno()]
    with theirs:
        socket.send_fds(_fork_server()[1], [json.dumps(request).encode()], files)
    return Forked(int(report.recv(_LARGE)), report)


@cache
def _fork_server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the fork server, once; it ends with this process."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            (sys.executable, "-u", "-m", __name__, str(theirs.fileno())),
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return process, ours


def _serve_forks(control: socket.socket) -> dict[str, Any] | None:
    """Return the request in the child; None in the fork server once the tests' process has ended."""
    reports: dict[int, socket.socket] = {}
    woken, waking = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(waking)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, _LARGE)
        if control.fileno() in ready:
            request, files, _, _ = socket.recv_fds(control, _LARGE, 3)
            if not request:
                return None
            if (pid := os.fork()) == 0:
                for each in (control, *reports.values()):
                    each.close()
                _detach([woken, waking], files)
                return dict(json.loads(request))
            reports[pid] = socket.socket(fileno=files[0])
            for file in files[1:]:
                os.close(file)
        _report_exits(reports)


def _report_exits(reports: dict[int, socket.socket]) -> None:
    for pid in list(reports):
        dead, status = os.waitpid(pid, os.WNOHANG)
        if dead:
            with reports.pop(pid) as report, contextlib.suppress(OSError):
                report.send(str(os.waitstatus_to_exitcode(status)).encode())


def _detach(theirs: Sequence[int], files: Sequence[int]) -> None:
    """Close the fork server's files, start a session, and report the pid."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for file in theirs:
        os.close(file)
    report, *output = files
    with Path(os.devnull).open("rb") as nothing:
        for number, file in enumerate([nothing.fileno(), *output]):
            os.dup2(file, number)
    os.setsid()
    os.write(report, str(os.getpid()).encode())
    for file in files:
        os.close(file)


def main() -> None:
    for name in _PRELOADED:
        importlib.import_module(name)
    importlib.import_module("app.web.lifespan").warm_up()
    request = _serve_forks(socket.socket(fileno=int(sys.argv[1])))
    if request:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        module, _, name = request["what"].partition(":")
        sys.argv = [module, *request["args"]]
        sys.exit(getattr(importlib.import_module(module), name)())


if __name__ == "__main__":
    main()
