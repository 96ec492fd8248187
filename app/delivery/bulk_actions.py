"""Runs operators' bulk actions in the background, and continues those that a stop interrupted."""

import asyncio
import contextlib
from collections.abc import Callable
from uuid import UUID

import structlog

from app.clock import Clock
from app.delivery.loop_errors import LoopErrors
from app.store.bulk_actions import step, unfinished

log = structlog.get_logger()
_RETRY_PAUSE = 5.0  # seconds


class BulkActions:
    """An async context: inside it all unfinished actions run, oldest first, whichever process began them."""

    def __init__(self, clock: Clock, wake: Callable[[], object]) -> None:
        """`wake` is called when an action has ended: some of its deliveries may be due."""
        self._clock = clock
        self._wake = wake
        self._stopped = asyncio.Event()
        self._errors = LoopErrors("bulk actions")
        self._requested = False
        self._background: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "BulkActions":
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        if self._background:
            await self._background

    def start(self) -> None:
        """Check for unfinished actions; where that runs already, it checks once more at its end."""
        self._requested = True
        if not self._stopped.is_set() and (self._background is None or self._background.done()):
            self._background = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._requested and not self._stopped.is_set():
            self._requested = False
            with self._errors:
                await self._run_unfinished()
                continue
            self._requested = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_PAUSE):
                    await self._stopped.wait()

    async def _run_unfinished(self) -> None:
        """Raises the last error: an action that fails does not hold up the others."""
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
            await asyncio.sleep(0)  # let requests be answered
        log.info("bulk action ended", bulk=str(bulk_id), stopped=self._stopped.is_set())
        self._wake()
