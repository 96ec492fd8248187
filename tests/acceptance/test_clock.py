"""A machine whose clock is set forward and back by hours while letters are sent. Real processes."""

import sys
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.clock_jumps import OFF
from tests.acceptance.mailserver import MailServer, mail_server
from tests.acceptance.seed import KEY, seed
from tests.acceptance.servers import Program, eventually, post_letter

pytestmark = pytest.mark.slow

LETTERS = 400
HOUR = 3600


def test_a_clock_that_jumps_doubles_loses_and_delays_nothing(postgres_url: str, tmp_path: Path) -> None:
    seed(postgres_url, LETTERS, domains=10)
    with mail_server(tmp_path) as mails:
        program = Program(
            tmp_path,
            DATABASE_URL=postgres_url,
            SMTP_URL=mails.url,
            SECRET_KEY=KEY,
            FIRST_DELAY="PT0.1S",
            SECOND_DELAY="PT720H",
            SCAN_INTERVAL="PT1S",
            LEASE="PT20S",
        )
        program.entry = (sys.executable, "-m", "tests.acceptance.clock_jumps")
        with program.serve() as server, program.serve() as other:
            for arrived, off in ((50, 3 * HOUR), (150, -5 * HOUR), (150, 5 * HOUR), (300, 0)):
                eventually(partial(_have_arrived, mails, arrived))
                _set_clock(tmp_path, off)
            eventually(partial(_have_arrived, mails, LETTERS))
            _set_clock(tmp_path, -5 * HOUR)
            for number in (1, 2):  # APScheduler, left alone, would not scan for five hours
                post_letter(server.base)
                eventually(partial(_have_arrived, mails, LETTERS + number))
            assert "recovered by another worker" not in server.log + other.log
            assert (server.log + other.log).count("scheduler started") == 1
        _set_clock(tmp_path, 0)
        assert set(mails.arrived().values()) == {1}
        states = program.audit()["by_status"]
        assert (states["sent"], states["claimed"], states["uncertain"]) == (LETTERS + 2, 0, 0)


def _set_clock(folder: Path, off: int) -> None:
    draft = folder / "clock.draft"
    draft.write_text(str(off))
    draft.rename(folder / OFF)


def _have_arrived(mails: MailServer, letters: int) -> bool:
    return len(mails.arrived()) >= letters
