"""A letter's whole way, in real processes: from the form to the reader's mail, twice."""

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest

from tests.acceptance.mailserver import mail_server
from tests.acceptance.seed import KEY
from tests.acceptance.servers import Program, eventually, post_letter

SOON = {"FIRST_DELAY": "PT2S", "SECOND_DELAY": "PT4S", "SCAN_INTERVAL": "PT1S"}

pytestmark = pytest.mark.slow


def test_one_letter_arrives_twice_in_the_outbox(sqlite_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, DATABASE_URL=sqlite_url, **SOON)
    with program.serve() as server:
        answer = post_letter(server.base, recipient_email="kim@example.org", body="안녕\n.\nFrom 나", subject="새해")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/letters/")
        eventually(lambda: len(list((tmp_path / "var/outbox").glob("*.eml"))) == 2)
        eventually(lambda: program.audit()["by_status"]["sent"] == 2)
    mails = [_read(path) for path in (tmp_path / "var/outbox").glob("*.eml")]
    assert len({mail["Message-ID"] for mail in mails}) == 2
    for mail in mails:
        assert mail["Subject"] == "새해"
        assert mail["To"] == "kim@example.org"
        text = mail.get_body(("plain",))
        assert text is not None
        assert "안녕\n.\nFrom 나" in text.get_content().replace("\r\n", "\n")


def test_one_letter_arrives_twice_over_smtp(postgres_url: str, tmp_path: Path) -> None:
    with mail_server(tmp_path) as mails:
        program = Program(tmp_path, DATABASE_URL=postgres_url, SMTP_URL=mails.url, SECRET_KEY=KEY, **SOON)
        with program.serve() as server:
            # The receipt's mail server never answers: neither this request nor the letters wait for it.
            answer = post_letter(server.base, recipient_email="kim@example.org", sender_email="rcpt-stall@example.org")
            assert answer.status_code == 303
            eventually(lambda: len(mails.arrived()) == 2)
            eventually(lambda: program.audit()["by_status"]["sent"] == 2)
            assert program.audit()["by_status"]["claimed"] == 1
        assert sorted(mails.arrived().values()) == [1, 1]


def test_a_receipt_leaves_at_once(tmp_path: Path) -> None:
    program = Program(tmp_path, SCAN_INTERVAL="PT1H")
    assert program.run("migrate").returncode == 0
    with program.serve() as server:
        post_letter(server.base, sender_email="me@example.org", body="hello")
        eventually(lambda: len(list((tmp_path / "var/outbox").glob("*.eml"))) == 1)


def test_what_is_missing_stops_the_start_with_one_line(tmp_path: Path) -> None:
    for settings, words in (
        ({}, "slow-mailbox migrate"),
        ({"PORT": "eighty"}, "MAILBOX_PORT"),
        ({"PROT": "8080"}, "is it MAILBOX_PORT?"),
        ({"SMTP_URL": "smtp://127.0.0.1:9"}, "MAILBOX_SECRET_KEY"),
        ({"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}, "MAILBOX_DATABASE_URL"),
    ):
        ended = Program(tmp_path, **settings).run("serve")
        assert ended.returncode == 2
        assert words in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_scan_delivers_until_nothing_is_due(database_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, DATABASE_URL=database_url, FIRST_DELAY="PT0.01S", SECOND_DELAY="PT0.02S", PAUSED="on")
    with program.serve() as server:
        for _ in range(12):
            post_letter(server.base)
        assert program.audit()["by_status"]["scheduled"] == 24
    program.environment["MAILBOX_PAUSED"] = "off"
    ended = program.run("scan")
    assert ended.returncode == 0, ended.stderr
    assert '"sent": 24' in ended.stdout
    assert program.audit()["by_status"]["sent"] == 24


def _read(path: Path) -> EmailMessage:
    parsed = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    assert isinstance(parsed, EmailMessage)
    return parsed
