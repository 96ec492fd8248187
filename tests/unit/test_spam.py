"""A spam filter's scores of our mails (docs/standards.md E20), where SpamAssassin is installed."""

import mailbox
import shutil
import subprocess
from contextlib import closing
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.clock import SystemClock
from tests.unit.mails import COMPOSER, LETTERS, NOTICES

MAILS = LETTERS | NOTICES
SPAMASSASSIN = shutil.which("spamassassin")
LIMIT = 1.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SPAMASSASSIN is None, reason="SpamAssassin is not installed (apt-get install spamassassin)"),
]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The score of every mail, and of one dated a month ago; the filter reads its rules once for all."""
    now = SystemClock().now()
    mails = {name: COMPOSER.compose(mail, now).message for name, mail in MAILS.items()}
    mails["old"] = COMPOSER.compose(LETTERS["first-en"], now - timedelta(days=30)).message
    return _scores(mails, now, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("name", MAILS)
def test_our_mails_look_like_no_spam(scores: dict[str, float], name: str) -> None:
    assert scores[name] <= LIMIT


def test_the_filter_works(scores: dict[str, float]) -> None:
    assert scores["old"] > LIMIT


def _scores(messages: dict[str, bytes], received: datetime, home: Path) -> dict[str, float]:
    """Return the local rules' scores of messages from another server."""
    trace = "from mail.example.org (mail.example.org [8.8.8.8]) by mx.example.com (Postfix) with ESMTPS id 4bYzT1"
    box, judged = home / "box", home / "judged"
    with box.open("wb") as file:
        for name, message in messages.items():
            head = f"From - {received:%c}\nX-Name: {name}\nReceived: {trace};\n {format_datetime(received)}\n"
            file.write(head.encode() + message.replace(b"\r\n", b"\n") + b"\n")
    with judged.open("wb") as output:
        subprocess.run(
            [SPAMASSASSIN or "", "--local", "--test-mode", "--mbox", str(box)],
            stdout=output,
            check=True,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        )
    with closing(mailbox.mbox(judged)) as mails:
        return {mail["X-Name"]: float(mail["X-Spam-Status"].split("score=")[1].split()[0]) for mail in mails}
