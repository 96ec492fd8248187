"""Commands that read and change the ledger."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.log_files import received
from app.cli.prompts import operator, with_database
from app.clock import SystemClock
from app.domain.status import Event, HeldReason
from app.errors import MailboxError
from app.settings import Settings, load_settings
from app.store import pauses, uncertain
from app.store.audit import audit as read_ledger
from app.store.audit_log import record
from app.store.operator_actions import hold_due_since, release_held
from app.store.retention import purge as forget_letters
from app.store.retention import vacuum as write_anew
from app.store.retention import vacuum_if_worth_it
from app.store.uncertain import Reconciliation, reconcile
from app.wiring import build_worker, open_services


def audit(
    against: Annotated[
        Path | None,
        typer.Option(help="A mail server's log, a folder of logs or messages, or - for standard input"),
    ] = None,
) -> None:
    """Sum the ledger as JSON; with a mail server's log, settle as sent what it received.

    Exit code 1 if the ledger does not add up, or if the log names none of our Message-IDs.
    """
    report = asyncio.run(with_database(load_settings(), lambda: _audit(against)))
    typer.echo(json.dumps(report, indent=2))
    nothing = against is not None and not report["against"]["found"]
    if nothing:
        typer.echo(f"Nothing of ours is in {against}: is it the right log, and does it name Message-IDs?", err=True)
    raise typer.Exit(int(nothing or not report["adds_up"]))


async def _audit(against: Path | None) -> dict[str, Any]:
    against_it = await _reconcile(against) if against else None
    ledger = await read_ledger()
    report = asdict(ledger) | {"adds_up": ledger.adds_up}
    return report | {"against": asdict(against_it) | {"found": against_it.found}} if against_it else report


async def _reconcile(source: Path) -> Reconciliation:
    now = SystemClock().now()
    found = await reconcile(received(source), now)
    await record(operator(), Event.RECONCILE, now, changed=found.settled)
    return found


def hold(
    due_since: Annotated[datetime, typer.Option(help="A moment such as 2026-11-21T08:00:00+00:00; UTC if not said")],
) -> None:
    """Hold deliveries that were due since a moment, after a restored backup. Waits until no delivery is claimed."""
    since = due_since if due_since.tzinfo else due_since.replace(tzinfo=UTC)
    held = asyncio.run(_hold(load_settings(), since))
    typer.echo(json.dumps({"held": held}))


async def _hold(settings: Settings, since: datetime) -> int:
    """Hold once the workers that the backup names have been found dead and their claims are released."""
    clock = SystemClock()
    async with open_services(settings, clock) as services, build_worker(services, leads=False):
        end = clock.monotonic() + 2 * settings.lease.total_seconds() + 5
        while names := await uncertain.workers_with_claims():
            if clock.monotonic() > end:
                raise MailboxError(f"{', '.join(names)} still sends; run `slow-mailbox pause` first")
            await asyncio.sleep(1)
        return await hold_due_since(since, clock.now(), operator())


def release(
    reason: Annotated[HeldReason, typer.Option(help="Why they are held")] = HeldReason.OPERATOR,
) -> None:
    """Schedule held deliveries again, by reason."""
    clock = SystemClock()
    released = asyncio.run(with_database(load_settings(), lambda: release_held(reason, clock.now(), operator())))
    typer.echo(json.dumps({"released": released}))


def pause() -> None:
    """Pause sending in every process until `resume`; deliveries in flight end."""
    paused = asyncio.run(with_database(load_settings(), lambda: pauses.pause(operator(), SystemClock().now())))
    typer.echo("Nothing is sent from now on" if paused else "Sending was paused already")


def resume() -> None:
    """Resume sending after `pause`; due deliveries are sent within a minute."""
    resumed = asyncio.run(with_database(load_settings(), lambda: pauses.resume(operator(), SystemClock().now())))
    typer.echo("Sending goes on" if resumed else "Sending was not paused here")


def purge() -> None:
    """Delete texts, names and addresses older than MAILBOX_RETENTION now; a server does so every midnight."""
    settings = load_settings()
    typer.echo(json.dumps({"purged": asyncio.run(with_database(settings, lambda: _purge(settings)))}))


async def _purge(settings: Settings) -> int:
    await record(operator(), Event.PURGE, SystemClock().now())
    purged = sum([purged async for purged in forget_letters(SystemClock().now(), settings.retention)])
    await vacuum_if_worth_it()
    return purged


def vacuum() -> None:
    """Free the space of deleted data. On SQLite no letter is taken or sent meanwhile."""
    asyncio.run(with_database(load_settings(), write_anew))
    typer.echo("done")
