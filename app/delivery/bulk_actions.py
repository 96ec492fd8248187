"""Doing in the background what operators ask for many deliveries; what a stop breaks off is gone on with."""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from uuid import UUID

import structlog

from app.clock import Clock
from app.delivery.loop_errors import LoopErrors
from app.store.bulk_actions import step, unfinished

log = structlog.get_logger()
_PAUSE = 5.0  # seconds until what failed is tried again


class BulkActions:
    """Goes on with all that is unfinished, oldest first, whoever began it."""

    def __init__(self, clock: Clock, wake: Callable[[], object]) -> None:
        """`wake` is called when one has ended: some of it may be due."""
        self._clock = clock
        self._wake = wake
        self._stopped = asyncio.Event()
        self._errors = LoopErrors("bulk actions")
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
        self._stopped.set()
        if self._background:
            await self._background

    def start(self) -> None:
        """Look for what is unfinished; if that goes on already, once more behind it."""
        self._asked = True
        if not self._stopped.is_set() and (self._background is None or self._background.done()):
            self._background = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._asked and not self._stopped.is_set():
            self._asked = False
            with self._errors:
                await self._go_on()
                continue
            self._asked = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE):
                    await self._stopped.wait()

    async def _go_on(self) -> None:
        """Raises the last error: one action that fails holds up no other."""
        failure: Exception | None = None
        for bulk_id in await unfinished():
            try:
                await self._finish(bulk_id)
            except Exception as error:  # noqa: BLE001 - raised below
                failure = error
        if failure:
            raise failure

    async def _finish(self, bulk_id: UUID) -> None:
        while not self._stopped.is_set():
            if not await step(bulk_id, self._clock.now()):
                break
            await asyncio.sleep(0)  # pages of this process are answered
        log.info("did what was asked for", bulk=str(bulk_id), stopped=self._stopped.is_set())
        self._wake()
