"""`slow-mailbox audit` by its exit code, on both databases."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.crypto import Cipher
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import HeldReason, Occasion, Status
from app.store.cipher import open_cipher
from app.store.database import connected, connection
from app.store.letters import Letters
from app.store.models import Delivery
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
def test_an_inconsistent_ledger_is_reported_and_fails(
    database_url: str, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    monkeypatch.setenv("MAILBOX_DATABASE_URL", database_url)
    asyncio.run(_fill(database_url, broken=broken))
    ended = CliRunner().invoke(cli, ["audit"], catch_exceptions=False)
    report = json.loads(ended.stdout)
    assert (ended.exit_code, report["adds_up"]) == (int(broken), not broken)
    wrong = {what: number for what, number in report["impossible"].items() if number}
    assert bool(wrong) is broken


async def _hold_one(url: str) -> str:
    await _fill(url, broken=False)
    async with connected(url):
        first = Delivery.filter(occasion=Occasion.FIRST)
        await first.update(status=Status.HELD, held_reason=HeldReason.OPERATOR)
        return (await first.get()).message_id


def test_what_a_log_says_was_received_is_settled(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBOX_DATABASE_URL", database_url)
    message_id = asyncio.run(_hold_one(database_url))
    line = f"2026-11-30 21:13:01 1xY8gH-0006uX-0D <= l@slow.test H=(me) [127.0.0.1] P=esmtp S=9 id={message_id[1:-1]}\n"
    ended = CliRunner().invoke(cli, ["audit", "--against", "-"], input=line, catch_exceptions=False)
    assert (ended.exit_code, json.loads(ended.stdout)["against"]["settled"]) == (0, 1)


@pytest.mark.parametrize("line", ["", "nothing", "<AAAAAAAAAAAAAAAAAAAAAA@elsewhere.test>\n"])
def test_a_log_that_names_none_of_ours_is_told_and_fails(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    monkeypatch.setenv("MAILBOX_DATABASE_URL", database_url)
    asyncio.run(_hold_one(database_url))
    (tmp_path / "mail.log").write_text(line)
    ended = CliRunner().invoke(cli, ["audit", "--against", str(tmp_path / "mail.log")], catch_exceptions=False)
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["against"]["settled"] == 0
    assert "Nothing of ours is in" in ended.stderr
