"""`slow-mailbox audit` by its exit code, on both databases."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.crypto import Cipher
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.store.cipher import open_cipher
from app.store.database import connected, connection
from app.store.letters import Letters
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER


async def _fill(url: str, *, broken: bool) -> None:
    async with connected(url):
        cipher, week, month = await open_cipher(Cipher(["k" * 32])), Delay(days=7), Delay(days=30)
        letters = Letters(cipher, first_delay=week, second_delay=month, message_domain="slow.test")
        await letters.post(Draft(recipient_email=READER, body="Dear you"), NOW)
        if broken:
            await connection().execute_query("UPDATE letters SET second_send_at = NULL")


@pytest.mark.parametrize("broken", [False, True])
def test_a_ledger_that_does_not_add_up_is_told_by_what_and_fails(
    database_url: str, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    monkeypatch.setenv("MAILBOX_DATABASE_URL", database_url)
    asyncio.run(_fill(database_url, broken=broken))
    ended = CliRunner().invoke(cli, ["audit"], catch_exceptions=False)
    report = json.loads(ended.stdout)
    assert (ended.exit_code, report["adds_up"]) == (int(broken), not broken)
    wrong = {what: number for what, number in report["impossible"].items() if number}
    assert bool(wrong) is broken
