"""Rotating the key while the program accepts and sends letters; the rotation is killed and run again."""

import json
from pathlib import Path

import httpx
import pytest

from tests.acceptance.mailserver import mail_server
from tests.acceptance.seed import KEY, seed
from tests.acceptance.servers import PLAIN, Program, eventually, post_letter

pytestmark = pytest.mark.slow

NEW = "another key that is long enough too"
LETTERS = 1100


def test_the_key_is_rotated_while_letters_are_posted_and_sent(database_url: str, tmp_path: Path) -> None:
    seed(database_url, LETTERS)
    with mail_server(tmp_path) as mails:
        program = Program(
            tmp_path,
            DATABASE_URL=database_url,
            SMTP_URL=mails.url,
            SECRET_KEY=f"{NEW}, {KEY}",
            SCAN_INTERVAL="PT1S",
        )
        with program.serve() as server:
            with program.start("keys", "rotate") as killed:
                eventually(lambda: b"1000 of" in _printed(tmp_path))
                killed.kill()
            answers = [post_letter(server.base, recipient_email=f"{n}@example.org") for n in range(10)]
            ended = program.run("keys", "rotate")
            assert ended.returncode == 0, ended.stdout + ended.stderr
            report = json.loads(ended.stdout)
            assert report["left"] == report["unreadable"] == 0
            assert report["letters"] <= LETTERS - 1000  # the first run may have finished before it was killed
            assert "letters looked at" in ended.stderr
            eventually(lambda: len(mails.arrived()) == LETTERS)
            eventually(lambda: program.audit()["by_status"]["sent"] == LETTERS)
        assert set(mails.arrived().values()) == {1}
        assert len(mails.arrived()) == LETTERS
        program.environment["MAILBOX_SECRET_KEY"] = NEW
        with program.serve() as server:
            for number, answer in enumerate(answers):
                page = httpx.get(server.base + answer.headers["location"], **PLAIN)
                assert page.status_code == 200
                assert f"{number}@example.org" in page.text
    program.environment["MAILBOX_SECRET_KEY"] = KEY
    refused = program.run("serve")
    assert refused.returncode == 2
    assert "MAILBOX_SECRET_KEY" in refused.stderr


def test_rotation_does_not_begin_while_a_process_lacks_the_new_key(sqlite_url: str, tmp_path: Path) -> None:
    seed(sqlite_url, 1)
    program = Program(tmp_path, DATABASE_URL=sqlite_url, SECRET_KEY=KEY, PAUSED="on")
    with program.serve() as server:
        program.environment["MAILBOX_SECRET_KEY"] = f"{NEW}, {KEY}"
        refused = program.run("keys", "rotate")
        assert refused.returncode == 2
        assert f":{server.pid} serves without the new key; restart it" in refused.stderr
        server.terminate()
    with program.serve():
        assert program.run("keys", "rotate").returncode == 0


def _printed(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("command-*.log"))
