"""Options that every command takes, and the commit where there is no wheel."""

import shutil
import subprocess
import sys
from pathlib import Path

import typer
from typer.testing import CliRunner

from app import installation
from app.cli import cli


def test_every_command_explains_itself_by_h_and_help() -> None:
    group = typer.main.get_command(cli)
    assert isinstance(group, typer.core.TyperGroup)
    commands = [[name, *more] for name, command in group.commands.items() for more in _inner(command)]
    assert ["keys", "rotate"] in commands
    for words in ([], *commands):
        short, long = (CliRunner().invoke(cli, [*words, option]) for option in ("-h", "--help"))
        assert (short.exit_code, short.output) == (0, long.output), words


def test_another_repository_s_commit_is_not_named(tmp_path: Path) -> None:
    """A virtual environment often lies within a checkout of another program."""
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for words in (("init",), (*author, "commit", "--allow-empty", "--message=Theirs")):
        subprocess.run(("git", *words, "--quiet"), cwd=tmp_path, check=True)
    package = tmp_path / "site-packages/app"
    package.mkdir(parents=True)
    shutil.copy(installation.__file__, package)
    asked = (sys.executable, "-c", "from installation import commit; print(commit())")
    assert subprocess.run(asked, cwd=package, capture_output=True, text=True, check=True).stdout == "unknown\n"


def _inner(command: object) -> list[list[str]]:
    return [[], *([name] for name in getattr(command, "commands", {}))]
