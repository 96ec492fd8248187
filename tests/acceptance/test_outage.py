"""A mail server that is away when letters are due, and comes back. Real processes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.mailserver import mail_server
from tests.acceptance.seed import KEY, seed
from tests.acceptance.servers import PLAIN, Program, eventually
from tests.postgres import free_port

pytestmark = pytest.mark.slow

LETTERS, SLOTS = 200, 5
PASSWORD = "correct horse battery staple"


def test_an_outage_is_reported_charges_nothing_and_ends_by_itself(postgres_url: str, tmp_path: Path) -> None:
    port = free_port()
    program = Program(
        tmp_path,
        DATABASE_URL=postgres_url,
        SMTP_URL=f"smtp://127.0.0.1:{port}",
        SMTP_CONNECTIONS=str(SLOTS),
        SECRET_KEY=KEY,
        SCAN_INTERVAL="PT1S",
        ADMIN_PASSWORD=PASSWORD,
    )
    seed(postgres_url, LETTERS, domains=20)
    with program.serve() as server, _operator(server.base) as operator:
        eventually(lambda: "mail server unavailable, letters wait" in server.log)
        eventually(lambda: "cannot use the mail server" in operator.get("/admin").text)
        assert program.audit()["by_status"]["scheduled"] == 2 * LETTERS
        with mail_server(tmp_path, port) as mails:
            eventually(lambda: len(mails.arrived()) == LETTERS)
            eventually(lambda: program.audit()["by_status"]["sent"] == LETTERS)
            assert set(mails.arrived().values()) == {1}
            readers = [line.split("\t")[1] for line in mails.log.read_text().splitlines()]
        assert "mail server available again" in server.log
        eventually(lambda: "cannot use the mail server" not in operator.get("/admin").text)
    written = [f"reader{number}@d{number % 20}.test" for number in range(LETTERS)]
    overtaken = [abs(place - written.index(reader)) for place, reader in enumerate(readers)]
    assert sum(overtaken) <= SLOTS * LETTERS  # in order, except those in flight at once


@contextlib.contextmanager
def _operator(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, headers={"Sec-Fetch-Site": "same-origin"}, **PLAIN) as operator:
        operator.post("/admin/login", data={"username": "admin", "password": PASSWORD})
        yield operator
