"""The command line: `slow-mailbox`."""

import os
import sys

import typer

from app.cli.admin import admin
from app.cli.examining import doctor
from app.cli.keys import keys
from app.cli.ledger import audit, hold, pause, purge, release, resume
from app.cli.serving import migrate, scan, serve
from app.errors import MailboxError
from app.log import configure_logging

_OUT_OF_ORDER = 2

cli = typer.Typer(
    help="Letters that arrive 7 days later, and again 30 days later.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (serve, migrate, scan, audit, doctor, hold, release, pause, resume, purge):
    cli.command()(command)
cli.add_typer(admin, name="admin")
cli.add_typer(keys, name="keys")


def main() -> None:
    """Run a command; what a person can mend is said in one line."""
    os.umask(0o077)  # the database and the outbox are nobody else's
    configure_logging()
    try:
        cli()
    except MailboxError as error:
        typer.echo(f"slow-mailbox: {error}", err=True)
        sys.exit(_OUT_OF_ORDER)
