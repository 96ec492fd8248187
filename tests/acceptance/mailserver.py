"""The test suite's SMTP server as a process of its own, which outlives the programs that are killed."""

import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.servers import ROOT


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
    command = (sys.executable, "-m", "tests.smtp_server", "--log", str(log), "--port", str(port))
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield MailServer(int(process.stdout.readline().rpartition(":")[2]), log)
        finally:
            process.kill()
