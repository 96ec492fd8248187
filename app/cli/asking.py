"""What the commands share."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.settings import Settings
from app.store.database import connected

T = TypeVar("T")
PAUSED = "Sending is paused: MAILBOX_PAUSED is on"


async def with_database(settings: Settings, question: Callable[[], Awaitable[T]]) -> T:
    async with connected(settings.database_url):
        return await question()
