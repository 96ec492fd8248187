"""The test suite's SMTP server as a process of its own, which outlives the programs that are killed."""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.forks import MAIL_SERVER, fork
from tests.acceptance.servers import PATIENCE


class MailServer:
    """A running server, and the log that it writes before it accepts a message."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.url = f"smtp://127.0.0.1:{port}"
        self.log = log

    def arrived(self) -> Counter[str]:
        """Return how often each Message-ID was accepted."""
        return Counter(line.split()[0] for line in self.log.read_text().splitlines())


@contextlib.contextmanager
def mail_server(folder: Path, port: int = 0) -> Iterator[MailServer]:
    """Run the server until the block ends, on any free port where none is named."""
    log = folder / "accepted.log"
    log.touch()
    reading, writing = os.pipe()
    with os.fdopen(reading) as said, os.fdopen(writing, "w") as output:
        process = fork(MAIL_SERVER, ("--log", str(log), "--port", str(port)), folder, os.environ, output, sys.stderr)
        output.close()
        try:
            yield MailServer(int(said.readline().rpartition(":")[2]), log)
        finally:
            process.kill()
            process.wait(PATIENCE)
