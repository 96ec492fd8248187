"""Rotation of the secret keys."""

import asyncio
import json
from dataclasses import asdict

import typer

from app.cli.prompts import operator
from app.clock import SystemClock
from app.crypto import Cipher
from app.domain.status import Event
from app.errors import MailboxError
from app.settings import Settings, load_settings
from app.store.audit_log import record
from app.store.key_rotation import Rotation, letters_to_reseal, rotate, workers_without_key
from app.wiring import open_services

_TOLD_EVERY = 1000  # letters

keys = typer.Typer(help="The keys that letters are sealed with.", no_args_is_help=True)


@keys.command("rotate")
def keys_rotate() -> None:
    """Encrypt everything with the first key of MAILBOX_SECRET_KEY, and report as JSON. Exit code 1 if anything is left.

    Put the new key before the old one and restart every process; then run this while they serve.
    Afterwards the old key can be removed. It may be interrupted and run again. It refuses to start
    while a process serves without the new key.
    """
    rotation = asyncio.run(_rotate(load_settings()))
    typer.echo(json.dumps(asdict(rotation)))
    if rotation.left:
        typer.echo("Some process still seals with another key: restart all with the new one first.", err=True)
    raise typer.Exit(int(not rotation.complete))


async def _rotate(settings: Settings) -> Rotation:
    clock = SystemClock()
    async with open_services(settings, clock) as services:
        if names := await workers_without_key(services.cipher, clock.now() - 2 * settings.lease):
            raise MailboxError(f"{', '.join(names)} serves without the new key; restart it with both keys first")
        letters = await letters_to_reseal()
        await record(operator(), Event.ROTATE_KEYS, services.clock.now())

        def tell(seen: int) -> None:
            if seen % _TOLD_EVERY == 0 or seen >= letters:
                typer.echo(f"{seen} of {letters} letters looked at", err=True)

        return await rotate(services.cipher, Cipher(settings.keys()), tell)
