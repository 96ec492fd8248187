"""Postfix's own pair: `smtp-sink` takes letters and counts them, `smtp-source` sends as fast as the wire lets it."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Child
from tests.postgres import free_port

_COUNTED = re.compile(rb"mesg=(\d+)")
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
_LOOK_EVERY = 0.02  # seconds


class Sink:
    """A running `smtp-sink`."""

    def __init__(self, port: int, counts: Path) -> None:
        self.port = port
        self._counts = counts

    def arrived(self) -> int:
        """Return how many letters it has taken: each final dot is written down."""
        with self._counts.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 100))
            counted = _COUNTED.findall(file.read())
        return int(counted[-1]) if counted else 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """How many letters arrived in all, and how many a second from the first to the last."""

    arrived: int
    rate: float


def require_postfix() -> None:
    """Say what to install where the pair is missing."""
    if not (shutil.which("smtp-sink", path=PATH) and shutil.which("smtp-source", path=PATH)):
        sys.exit("make bench needs smtp-sink and smtp-source, which come with Postfix: apt-get install postfix")


@contextlib.contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """Run a sink until the block ends."""
    port, counts = free_port(), folder / "counts"
    as_root = ("-u", "root") if os.geteuid() == 0 else ()
    command = (_tool("smtp-sink"), *as_root, "-c", f"127.0.0.1:{port}", "1000")
    with counts.open("wb") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            _listening(port)
            yield Sink(port, counts)
        finally:
            process.kill()


def source(port: int, letters: int, message: Path) -> tuple[str, ...]:
    """Return the command that sends one message again and again over 50 kept connections."""
    return (_tool("smtp-source"), "-d", "-s", "50", "-m", str(letters), "-F", str(message), f"127.0.0.1:{port}")


def watch(sink: Sink, senders: Sequence[Child], letters: int, within: float) -> Stretch:
    """Watch letters arrive until all have, or the senders have ended, or `within` seconds have passed."""
    first = count = 0
    started = begun = last = now = time.monotonic()
    deadline = started + within
    while count < letters and now < deadline:
        sending = [sender.look() for sender in senders]
        arrived, now = sink.arrived(), time.monotonic()
        if not first:
            first, begun = arrived, now
        if arrived > count:
            count, last = arrived, now
        elif not any(sending):
            break
        time.sleep(_LOOK_EVERY)
    if count == first:  # so few that they were there at the first look
        return Stretch(count, count / (last - started))
    return Stretch(count, (count - first) / (last - begun))


def _tool(name: str) -> str:
    return shutil.which(name, path=PATH) or name


def _listening(port: int) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_EVERY)
        else:
            return
