"""A real PgBouncer in transaction mode, as many a host puts before its PostgreSQL."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.postgres import free_port

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_SETTINGS = """
[databases]
* = host={host} port={port} pool_size=3
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {ours}
unix_socket_dir =
auth_type = any
pool_mode = transaction
"""


@contextlib.contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """Run one before a database's server, with three connections to it, and give the URL that leads through it."""
    if _PROGRAM is None:
        pytest.skip("there is no pgbouncer: apt-get install pgbouncer")
    there, ours = urlsplit(url), free_port()
    with tempfile.TemporaryDirectory(prefix="slow-mailbox-pgbouncer-") as folder:
        settings = Path(folder) / "pgbouncer.ini"
        any_user = f"user={there.username or 'postgres'}"
        text = _SETTINGS.format(host=there.hostname, port=there.port, ours=ours).replace(
            "pool_size", f"{any_user} pool_size"
        )
        settings.write_text(text)
        as_other = ("-u", "nobody") if os.getuid() == 0 else ()
        Path(folder).chmod(0o755)
        process = subprocess.Popen((_PROGRAM, "-q", *as_other, str(settings)), stderr=subprocess.DEVNULL)
        try:
            _wait_for(ours, process)
            yield f"postgres://{there.username}@127.0.0.1:{ours}{there.path}"
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "pgbouncer has ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("pgbouncer does not listen")
