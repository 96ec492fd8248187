"""What the commands share."""

import os
import pwd
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from app.settings import Settings
from app.store import pauses
from app.store.audit_log import Operator
from app.store.database import connected

T = TypeVar("T")
PAUSED = "Sending is paused: MAILBOX_PAUSED is on"
_PAUSED_BY = "Sending is paused since {since:%Y-%m-%d %H:%M} UTC, by {who}; to go on: slow-mailbox resume"


async def with_database(settings: Settings, question: Callable[[], Awaitable[T]]) -> T:
    async with connected(settings.database_url):
        return await question()


def operator() -> Operator:
    """Return the user who runs this command, by login name."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Operator(f"{name} (command line)")


async def say_if_paused() -> bool:
    """Print who has paused sending; return whether it is paused."""
    pause = await pauses.paused()
    if pause:
        typer.echo(_PAUSED_BY.format(since=pause.since, who=pause.who), err=True)
    return pause is not None
