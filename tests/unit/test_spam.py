"""What a spam filter says to our mails (STANDARDS.md E20), where SpamAssassin is installed."""

import re
import shutil
import subprocess
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.clock import SystemClock
from app.mail.envelope import Mail
from tests.unit.mails import COMPOSER, LETTERS, NOTICES

MAILS = LETTERS | NOTICES
SPAMASSASSIN = shutil.which("spamassassin")
LIMIT = 1.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SPAMASSASSIN is None, reason="SpamAssassin is not installed (apt-get install spamassassin)"),
]


@pytest.mark.parametrize("mail", MAILS.values(), ids=MAILS.keys())
def test_our_mails_look_like_no_spam(mail: Mail, tmp_path: Path) -> None:
    now = SystemClock().now()
    assert score(COMPOSER.compose(mail, now).message, now, tmp_path) <= LIMIT


def test_the_filter_is_awake(tmp_path: Path) -> None:
    now = SystemClock().now()
    dated_when_it_was_written = COMPOSER.compose(LETTERS["first-en"], now - timedelta(days=30)).message
    assert score(dated_when_it_was_written, now, tmp_path) > LIMIT


def score(message: bytes, received: datetime, home: Path) -> float:
    """Return the points that the local rules give to a message that another server handed in."""
    trace = "from mail.example.org (mail.example.org [8.8.8.8]) by mx.example.com (Postfix) with ESMTPS id 4bYzT1"
    done = subprocess.run(
        [SPAMASSASSIN or "", "--local", "--test-mode"],
        input=f"Received: {trace};\r\n {format_datetime(received)}\r\n".encode() + message,
        capture_output=True,
        check=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    found = re.search(rb"X-Spam-Status: \w+, score=(-?[\d.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])
