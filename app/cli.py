"""The command line: `slow-mailbox`."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvicorn

from app.clock import SystemClock
from app.doctor import examine
from app.doctor.findings import Level
from app.domain.status import HeldReason, Status
from app.errors import MailboxError
from app.log import configure_logging
from app.sealing import Sealer
from app.settings import Settings, load_settings
from app.store import accounts, deliveries
from app.store.audit import audit as read_ledger
from app.store.batches import hold_due_since, release_held
from app.store.database import connected
from app.store.database import migrate as apply_migrations
from app.store.forgetting import purge as forget_letters
from app.store.reconcile import message_ids, reconcile
from app.store.rotation import Rotation, letters_to_look_at, rotate
from app.web.lifespan import greet
from app.wiring import build_station, open_mailbox

T = TypeVar("T")
_OUT_OF_ORDER = 2
_PAUSED = "Sending is paused: MAILBOX_PAUSED is on"
_TOLD_EVERY = 1000  # letters
_GRACE = 30  # seconds uvicorn gives open requests

cli = typer.Typer(
    help="Letters that arrive 7 days later, and again 30 days later.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
admin = typer.Typer(help="The accounts of the admin page.", no_args_is_help=True)
cli.add_typer(admin, name="admin")
keys = typer.Typer(help="The keys that letters are sealed with.", no_args_is_help=True)
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


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: MAILBOX_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [default: MAILBOX_PORT]")] = None,
    *,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when the source changes")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer requests")] = 1,
) -> None:
    """Serve the pages, and deliver what is due."""
    if host is not None:
        os.environ["MAILBOX_HOST"] = host  # the workers read it again
    if port is not None:
        os.environ["MAILBOX_PORT"] = str(port)
    settings = load_settings()
    asyncio.run(_prepare(settings))
    uvicorn.run(
        "app.web.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        reload=reload,
        reload_dirs=["app", "templates"] if reload else None,
        workers=workers,
        access_log=False,  # it writes paths, and ours hold tokens
        log_config=None,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=_GRACE,
    )


async def _prepare(settings: Settings) -> None:
    """Find out now whether we can start: an error inside a lifespan is a traceback, or a hang."""
    async with open_mailbox(settings, SystemClock()) as mailbox:
        typer.echo(f"Write a letter at {settings.origin}/")
        typer.echo(
            f"Letters land in {settings.outbox_dir} and are shown at {settings.origin}/outbox"
            if mailbox.outbox
            else "Letters are handed to the mail server of MAILBOX_SMTP_URL"
        )
        if settings.paused:
            typer.echo(_PAUSED)
        if not await greet(mailbox):
            typer.echo(
                f"The admin page is {settings.origin}/admin (for another password: slow-mailbox admin reset NAME)"
            )


@cli.command()
def migrate() -> None:
    """Bring the database up to date."""
    applied = asyncio.run(apply_migrations(load_settings().database_url))
    typer.echo("\n".join(f"applied {name}" for name in applied) or "the database is up to date")


@cli.command()
def scan() -> None:
    """Deliver until nothing is due, and report as JSON. Exit code 1 if anything failed."""
    settings = load_settings()
    if settings.paused:
        typer.echo(_PAUSED, err=True)
    report = asyncio.run(_scan(settings))
    typer.echo(json.dumps(report))
    raise typer.Exit(int(any(report[status] for status in (Status.FAILED, Status.UNCERTAIN, Status.SCHEDULED))))


async def _scan(settings: Settings) -> dict[str, int]:
    async with open_mailbox(settings, SystemClock()) as mailbox, build_station(mailbox, leads=False) as station:
        await station.scan.drain()
        settled = station.records.settled
    return {status.value: settled[status] for status in Status if status is not Status.CLAIMED}


@cli.command()
def audit(
    against: Annotated[
        Path | None,
        typer.Option(help="A mail server's log, or a folder of messages: what it received is settled as sent"),
    ] = None,
) -> None:
    """Sum the ledger as JSON. Exit code 1 if it does not add up."""
    report = asyncio.run(_connected(load_settings(), lambda: _audit(against)))
    typer.echo(json.dumps(report, indent=2))
    raise typer.Exit(int(not report["adds_up"]))


async def _audit(against: Path | None) -> dict[str, Any]:
    received = {"against": asdict(await reconcile(message_ids(against), SystemClock().now()))} if against else {}
    ledger = await read_ledger()
    return asdict(ledger) | {"adds_up": ledger.adds_up} | received


@cli.command()
def doctor() -> None:
    """Check the settings, the database and the mail server, and say what to mend."""
    findings = asyncio.run(examine(load_settings(), SystemClock()))
    for finding in findings:
        typer.echo(f"{finding.level.value:8} {finding.subject}: {finding.text}")
    raise typer.Exit(int(any(finding.level is Level.PROBLEM for finding in findings)))


@cli.command()
def hold(
    due_since: Annotated[datetime, typer.Option(help="A moment such as 2026-11-21T08:00:00+00:00; UTC if not said")],
) -> None:
    """Hold what was due since a moment: after a backup was restored. Waits until nothing is claimed."""
    since = due_since if due_since.tzinfo else due_since.replace(tzinfo=UTC)
    held = asyncio.run(_hold(load_settings(), since))
    typer.echo(json.dumps({"held": held}))


async def _hold(settings: Settings, since: datetime) -> int:
    """Hold, once the workers that the backup remembers are found dead and their claims have come back."""
    clock = SystemClock()
    async with open_mailbox(settings, clock) as mailbox, build_station(mailbox, leads=False):
        end = clock.monotonic() + 2 * settings.lease.total_seconds() + 5
        while names := await deliveries.claimers():
            if clock.monotonic() > end:
                raise MailboxError(f"{', '.join(names)} still sends; start it with MAILBOX_PAUSED=on first")
            await asyncio.sleep(1)
        return await hold_due_since(since, clock.now())


@cli.command()
def release(
    reason: Annotated[HeldReason, typer.Option(help="Why they are held")] = HeldReason.OPERATOR,
) -> None:
    """Schedule again, for now, what was held for a reason."""
    clock = SystemClock()
    released = asyncio.run(_connected(load_settings(), lambda: release_held(reason, clock.now())))
    typer.echo(json.dumps({"released": released}))


@cli.command()
def purge() -> None:
    """Forget now what was kept for MAILBOX_KEEP after its last delivery; a server does so every midnight."""
    settings = load_settings()
    typer.echo(json.dumps({"purged": asyncio.run(_connected(settings, lambda: _purge(settings)))}))


async def _purge(settings: Settings) -> int:
    return sum([purged async for purged in forget_letters(SystemClock().now(), settings.keep)])


@admin.command("create")
def admin_create(username: str) -> None:
    """Make an account; the password is asked for twice."""
    password = _new_password()
    asyncio.run(_connected(load_settings(), lambda: accounts.create_account(username, password, SystemClock().now())))


@admin.command("reset")
def admin_reset(username: str) -> None:
    """Give an account another password, and end its sessions."""
    password = _new_password()
    asyncio.run(_connected(load_settings(), lambda: accounts.reset_password(username, password)))


@admin.command("list")
def admin_list() -> None:
    """List the accounts."""
    for account in asyncio.run(_connected(load_settings(), accounts.list_accounts)):
        typer.echo(f"{account.username}\tsince {account.created_at:%Y-%m-%d}")


@keys.command("rotate")
def keys_rotate() -> None:
    """Seal everything with the first key of MAILBOX_SECRET_KEY, and report as JSON. Exit code 1 if anything is left.

    Put the new key before the old one and restart the program; then run this while it serves. After
    it, the old key can be taken out. It may be broken off and run again.
    """
    rotation = asyncio.run(_rotate(load_settings()))
    typer.echo(json.dumps(asdict(rotation)))
    if rotation.left:
        typer.echo("Some process still seals with another key: restart all with the new one first.", err=True)
    raise typer.Exit(int(not rotation.complete))


async def _rotate(settings: Settings) -> Rotation:
    async with open_mailbox(settings, SystemClock()) as mailbox:
        letters = await letters_to_look_at()

        def tell(seen: int) -> None:
            if seen % _TOLD_EVERY == 0 or seen >= letters:
                typer.echo(f"{seen} of {letters} letters looked at", err=True)

        return await rotate(mailbox.vault, Sealer(settings.keys()), tell)


def _new_password() -> str:
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


async def _connected(settings: Settings, question: Callable[[], Awaitable[T]]) -> T:
    async with connected(settings.database_url):
        return await question()
