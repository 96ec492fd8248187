"""Texts that break mail programs, from the form over SMTP to the reader's: each exactly as written."""

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import anyio.to_thread
import pytest

from tests.acceptance.seed import KEY
from tests.acceptance.servers import Program, eventually, post_letter
from tests.smtp_server import MailServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TEXTS = {
    "long": "가" * 20_000,
    "one long line": "x" * 5_000,
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 ❤️ 🇰🇷",
    "right to left": "שלום عليكم \u202eabc\u202c",
    "dots": ".\n..\n.leading\n\n.\n",
    "From": "From me to you\n>From\nFrom ",
    "headers": "Subject: not a header\n\nBcc: nobody@example.org",
    "markup": "<script>alert('&amp;')</script> {{ 7*7 }} %(body)s %s \\ \ue000body\ue001",
    "white space": "  two spaces\n\ttab \n trailing  ",
    "combining": "e\u0301 is not \u00e9, \u1112\u1161\u11ab is not 한",
    "boundary": "--=_slow_mailbox--\n--=_slow_mailbox",
}


async def test_hard_texts_arrive_exactly_as_written(sqlite_url: str, tmp_path: Path) -> None:
    async with MailServer() as mails:
        program = Program(
            tmp_path, DATABASE_URL=sqlite_url, SMTP_URL=f"smtp://127.0.0.1:{mails.port}", SECRET_KEY=KEY,
            FIRST_DELAY="PT1S", SCAN_INTERVAL="PT1S", RATE_LIMITS="off",
        )  # fmt: skip
        await anyio.to_thread.run_sync(_post_all, program, mails)
    arrived = {mail["Subject"]: mail for mail in map(_read, (letter.message for letter in mails.accepted))}
    assert set(arrived) == set(TEXTS)
    for name, text in TEXTS.items():
        assert text in _part(arrived[name], "plain"), name
    assert {letter.recipients for letter in mails.accepted} == {("kim@xn--9t4b11yi5a.test",)}


def _post_all(program: Program, mails: MailServer) -> None:
    with program.serve() as server:
        for name, text in TEXTS.items():
            answer = post_letter(server.base, recipient_email="kim@테스트.test", subject=name, body=text)
            assert answer.status_code == 303, (name, answer.text)
        eventually(lambda: len(mails.accepted) == len(TEXTS))


def _read(message: bytes) -> EmailMessage:
    parsed = BytesParser(policy=policy.default).parsebytes(message)
    assert isinstance(parsed, EmailMessage)
    return parsed


def _part(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")
