"""Processes that are measured: what they cost, from the first to the last."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MIB = 1024.0  # of the kernel's kB


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds of CPU, MiB of memory at most, and its exit code."""

    cpu: float
    peak: float
    exit_code: int


class Child:
    """A running process, measured until it ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.peak = 0.0
        self.cost: Cost | None = None

    def look(self) -> bool:
        """Note the memory used so far; False once the process has ended."""
        if self.cost:
            return False
        self.peak = max(self.peak, memory(self.pid, "VmHWM"))
        ended, status, usage = os.wait4(self.pid, os.WNOHANG)
        if ended:
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cost = Cost(usage.ru_utime + usage.ru_stime, self.peak, self._process.returncode)
        return not ended

    def wait(self, within: float) -> Cost:
        """Wait until the process ends; a process that takes longer is ended."""
        deadline = time.monotonic() + within
        while self.look():
            if time.monotonic() > deadline:
                self._process.kill()
            time.sleep(0.02)
        assert self.cost
        return self.cost

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.cost is None:
            self._process.kill()
            self.wait(10)


@contextlib.contextmanager
def child(
    command: Sequence[str], said: Path, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> Iterator[Child]:
    """Run a command until the block ends; what it says is added to the file `said`."""
    with said.open("ab") as output:
        running = Child(
            subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        )
    try:
        yield running
    finally:
        running.kill()


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a running process has taken so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, which: str) -> float:
    """Return `VmHWM` or `VmRSS` of a process in MiB; 0 where it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(which):
                return int(line.split()[1]) / _MIB
    return 0.0


def forget_peak(pid: int) -> None:
    """Let `VmHWM` of a process begin again with what it uses now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
