"""Doing in the background what operators ask for many deliveries; what a stop breaks off is gone on with."""

import asyncio
from collections.abc import Callable
from types import TracebackType

import structlog

from app.clock import Clock
from app.store.bulk import step, unfinished
from app.store.database import is_unavailable

log = structlog.get_logger()


class BulkActions:
    """Goes on with all that is unfinished, oldest first, whoever began it."""

    def __init__(self, clock: Clock, wake: Callable[[], object]) -> None:
        """`wake` is called when one has ended: some of it may be due."""
        self._clock = clock
        self._wake = wake
        self._stopped = False
        self._asked = False
        self._background: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "BulkActions":
        """Go on with what was broken off."""
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begin no batch any more, and wait until the last one is written."""
        self._stopped = True
        if self._background:
            await self._background

    def start(self) -> None:
        """Look for what is unfinished; if that goes on already, once more behind it."""
        self._asked = True
        if not self._stopped and (self._background is None or self._background.done()):
            self._background = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._asked and not self._stopped:
                self._asked = False
                await self._go_on()
        except Exception as error:
            if is_unavailable(error):
                log.warning("the database is away; what was asked for goes on later", error=type(error).__name__)
            else:
                log.exception("what was asked for failed in an unforeseen way")

    async def _go_on(self) -> None:
        for bulk_id in await unfinished():
            while not self._stopped:
                if not await step(bulk_id, self._clock.now()):
                    break
                await asyncio.sleep(0)  # pages of this process are answered
            log.info("did what was asked for", bulk=str(bulk_id), stopped=self._stopped)
            self._wake()
