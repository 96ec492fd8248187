"""This program, as its operator runs it, with the benchmark's settings."""

import os
import sys
from pathlib import Path

from tests.acceptance.servers import Program
from tests.bench.databases import Databases
from tests.bench.preparation import KEY, SENDER_DOMAIN, fill

SCAN = (sys.executable, "-c", "from app.cli import main; main()", "scan")


def program(folder: Path, url: str, smtp_port: int = 0, **settings: str) -> Program:
    """Return the program on a database; without a mail server its letters go to the outbox."""
    smtp = {"SMTP_URL": f"smtp://127.0.0.1:{smtp_port}"} if smtp_port else {}
    sender = f"Slow Mailbox <letters@{SENDER_DOMAIN}>"
    folder.mkdir(exist_ok=True)
    made = Program(folder, DATABASE_URL=url, SECRET_KEY=KEY, SENDER=sender, **smtp, **settings)
    made.entry = SCAN[:-1]  # what it takes to start, and its memory, are measured too
    return made


def message(databases: Databases, folder: Path) -> Path:
    """Return a file with one letter as we send it: what the others send must be as long."""
    url = databases.new("sqlite")
    fill(url, 1)
    ended = program(folder / "outbox", url).run("scan")
    assert ended.returncode == 0, ended.stderr
    (letter,) = (folder / "outbox").rglob("*.eml")
    databases.drop(url)
    return letter


def processors() -> int:
    """Return how many processors there are to run on."""
    return len(os.sched_getaffinity(0))
