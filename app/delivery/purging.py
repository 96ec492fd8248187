"""Forgetting old letters in the background, a batch at a time, and stopping between two of them."""

import asyncio
from datetime import timedelta

import structlog

from app.clock import Clock
from app.store.database import is_unavailable
from app.store.forgetting import purge

log = structlog.get_logger()


class Purging:
    """Forgets what was kept for `keep` after its last delivery."""

    def __init__(self, keep: timedelta, clock: Clock) -> None:
        self._keep = keep
        self._clock = clock
        self._stopped = False
        self._background: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go through all letters once; APScheduler's own background would be cut off in a transaction."""
        self._stopped = False
        if self._background is None or self._background.done():
            self._background = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Begin no batch any more; what is left waits for the next time."""
        self._stopped = True

    async def ended(self) -> None:
        """Wait until the last batch is written."""
        if self._background:
            await self._background

    async def _run(self) -> None:
        forgotten = 0
        try:
            async for purged in purge(self._clock.now(), self._keep):
                forgotten += purged
                if self._stopped:
                    break
        except Exception as error:
            if not is_unavailable(error):
                log.exception("forgetting failed in an unforeseen way")
            else:
                log.warning("the database is away; letters are forgotten the next time", error=type(error).__name__)
        log.info("forgot old letters", letters=forgotten)
