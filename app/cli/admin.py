"""Accounts of the admin page."""

import asyncio
from typing import Annotated

import typer

from app.cli.prompts import operator, with_database
from app.clock import SystemClock
from app.domain.status import Event
from app.settings import load_settings
from app.store import accounts, second_factor
from app.store.audit_log import record

admin = typer.Typer(help="The accounts of the admin page.", no_args_is_help=True)


@admin.command("create")
def admin_create(username: str) -> None:
    """Create an account; asks for the password twice."""
    settings = load_settings()
    asyncio.run(with_database(settings, lambda: accounts.check_new_name(username)))
    password = _new_password()
    asyncio.run(with_database(settings, lambda: _create(username, password)))


async def _create(username: str, password: str) -> None:
    now = SystemClock().now()
    await accounts.create_account(username, password, now)
    await record(operator(), Event.CREATE_ACCOUNT, now, subject=username)


@admin.command("reset")
def admin_reset(username: str) -> None:
    """Set another password, remove the second factor, and end all sessions of an account."""
    settings = load_settings()
    asyncio.run(with_database(settings, lambda: accounts.check_exists(username)))
    password = _new_password()
    asyncio.run(with_database(settings, lambda: _reset(username, password)))


async def _reset(username: str, password: str) -> None:
    await accounts.reset_password(username, password)
    await second_factor.remove(username)
    await record(operator(), Event.RESET_ACCOUNT, SystemClock().now(), subject=username)


@admin.command("remove")
def admin_remove(
    username: str,
    *,
    force: Annotated[bool, typer.Option("--force", help="Remove it even if it is the only account.")] = False,
) -> None:
    """Remove an account and end its sessions; the activity log keeps its name."""
    asyncio.run(with_database(load_settings(), lambda: _remove(username, force)))


async def _remove(username: str, force: bool) -> None:
    await accounts.remove_account(username, force=force)
    await record(operator(), Event.REMOVE_ACCOUNT, SystemClock().now(), subject=username)


@admin.command("list")
def admin_list() -> None:
    """List the accounts."""
    for account in asyncio.run(with_database(load_settings(), accounts.list_accounts)):
        typer.echo(f"{account.username}\tsince {account.created_at:%Y-%m-%d}")


def _new_password() -> str:
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
