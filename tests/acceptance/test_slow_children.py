"""Children of --workers that take longer to start than uvicorn waits by itself. Real processes."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.acceptance.servers import Program, eventually

pytestmark = pytest.mark.slow
_SECONDS = 7  # more than uvicorn's 5


def test_they_come_up_and_the_death_of_one_is_logged(sqlite_url: str, tmp_path: Path) -> None:
    slow = f"import sys, time\nif '--multiprocessing-fork' in sys.orig_argv:\n    time.sleep({_SECONDS})\n"
    (tmp_path / "sitecustomize.py").write_text(slow)
    program = Program(tmp_path, DATABASE_URL=sqlite_url)
    program.environment["PYTHONPATH"] += f":{tmp_path}"
    with program.serve("--workers", "2") as server:
        assert "died" not in server.log
        leader = eventually(lambda: re.findall(r'"worker": "[^"]*:(\d+)"', server.log))[0]
        os.kill(int(leader), signal.SIGKILL)
        eventually(lambda: f"Child process [{leader}] died" in server.log)
