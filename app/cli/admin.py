"""The accounts of the admin page."""

import asyncio

import typer

from app.cli.asking import with_database
from app.clock import SystemClock
from app.settings import load_settings
from app.store import accounts

admin = typer.Typer(help="The accounts of the admin page.", no_args_is_help=True)


@admin.command("create")
def admin_create(username: str) -> None:
    """Make an account; the password is asked for twice."""
    password = _new_password()
    asyncio.run(
        with_database(load_settings(), lambda: accounts.create_account(username, password, SystemClock().now()))
    )


@admin.command("reset")
def admin_reset(username: str) -> None:
    """Give an account another password, and end its sessions."""
    password = _new_password()
    asyncio.run(with_database(load_settings(), lambda: accounts.reset_password(username, password)))


@admin.command("list")
def admin_list() -> None:
    """List the accounts."""
    for account in asyncio.run(with_database(load_settings(), accounts.list_accounts)):
        typer.echo(f"{account.username}\tsince {account.created_at:%Y-%m-%d}")


def _new_password() -> str:
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
