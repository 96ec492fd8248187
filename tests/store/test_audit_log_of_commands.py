"""Every command that changes something is in the audit log, with its operator."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.store.audit_log import audit_entries
from app.store.database import connected
from app.store.operator_models import OperatorAction

PASSWORDS = "correct horse battery\n" * 2
COMMANDS = (
    (["hold", "--due-since", "2026-01-01T08:30:00+00:00"], "hold", "due since 2026-01-01 08:30 UTC", 0),
    (["release", "--reason", "overdue"], "release", "held: overdue", 0),
    (["pause"], "pause", "", None),
    (["resume"], "resume", "", None),
    (["purge"], "purge", "", None),
    (["keys", "rotate"], "rotate_keys", "", None),
    (["audit", "--against", "received"], "reconcile", "", 0),
    (["admin", "create", "jihye"], "create_account", "jihye", None),
    (["admin", "reset", "jihye"], "reset_account", "jihye", None),
    (["admin", "remove", "jihye", "--force"], "remove_account", "jihye", None),
)


@pytest.fixture
def runner(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """Run commands on a database, in a folder that a mail server's messages lie in."""
    monkeypatch.setenv("MAILBOX_DATABASE_URL", database_url)
    (tmp_path / "received").mkdir()
    return CliRunner()


def _log(url: str) -> list[OperatorAction]:
    async def read() -> list[OperatorAction]:
        async with connected(url):
            return await audit_entries()

    return asyncio.run(read())


def test_every_command_that_changes_something_leaves_an_entry(runner: CliRunner, database_url: str) -> None:
    for arguments, *_ in COMMANDS:
        ended = runner.invoke(cli, arguments, input=PASSWORDS, catch_exceptions=False)
        assert ended.exit_code == int("audit" in arguments), (arguments, ended.output)  # nothing of ours lies there
    entries = _log(database_url)
    assert [(each.action, each.subject, each.changed) for each in reversed(entries)] == [
        (action, subject, changed) for _, action, subject, changed in COMMANDS
    ]
    assert all(each.who.endswith(" (command line)") for each in entries)


def test_a_command_that_changes_nothing_leaves_no_entry(runner: CliRunner, database_url: str) -> None:
    for arguments in (["resume"], ["audit"], ["admin", "list"], ["admin", "reset", "nobody"]):
        runner.invoke(cli, arguments, input=PASSWORDS)
    runner.invoke(cli, ["admin", "create", "jihye"], input="short\n" * 2)
    assert _log(database_url) == []


def test_an_impossible_command_fails_before_asking(runner: CliRunner) -> None:
    runner.invoke(cli, ["admin", "create", "jihye"], input=PASSWORDS, catch_exceptions=False)
    for arguments, error in (
        (["admin", "reset", "nobody-there"], "there is no account 'nobody-there'"),
        (["admin", "create", "jihye"], "account 'jihye' already exists"),
        (["admin", "create", " jihye"], "is not a valid account name"),
        (["admin", "remove", "nobody-there"], "there is no account 'nobody-there'"),
        (["admin", "remove", "jihye"], "'jihye' is the only account"),
    ):
        ended = runner.invoke(cli, arguments, input=PASSWORDS)
        assert error in str(ended.exception)
        assert "Password" not in ended.output
