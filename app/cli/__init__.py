"""The command line: `slow-mailbox`."""

import os
import sys
from typing import Annotated

import typer

from app.cli.admin import admin
from app.cli.diagnosis import doctor
from app.cli.keys import keys
from app.cli.ledger import audit, hold, pause, purge, release, resume, vacuum
from app.cli.service import migrate, scan, serve
from app.errors import MailboxError
from app.installation import version
from app.log import configure_logging

_OUT_OF_ORDER = 2

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (serve, migrate, scan, audit, doctor, hold, release, pause, resume, purge, vacuum):
    cli.command()(command)
cli.add_typer(admin, name="admin")
cli.add_typer(keys, name="keys")


def _show_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"slow-mailbox {version()}")
        raise typer.Exit


@cli.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and the commit.")
    ] = False,
) -> None:
    """Letters that arrive 7 days later, and again 30 days later."""


def main() -> None:
    """Run a command; errors that a person can mend are printed in one line."""
    os.umask(0o077)  # other users may not read the database and the outbox
    configure_logging()
    try:
        cli()
    except MailboxError as error:
        typer.echo(f"slow-mailbox: {error}", err=True)
        sys.exit(_OUT_OF_ORDER)
