"""Claims due deliveries, keeps the ready queue filled, and starts deliveries in free slots."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import Any, Literal
from uuid import UUID, uuid4

import structlog

from app.clock import Clock
from app.delivery.breaker import Breaker
from app.delivery.completer import Completer
from app.delivery.courier import Courier
from app.delivery.heartbeat import Heartbeat
from app.delivery.loop_errors import LoopErrors
from app.delivery.ready_queue import ReadyQueue
from app.log import batch_fields
from app.store import claims, confirmation, uncertain

log = structlog.get_logger()
_SETTLE_TIME = 5.0
"""Seconds for a cancelled delivery to record its outcome."""

NextDelivery = Callable[[], Coroutine[Any, Any, None] | None]
"""Returns the next delivery for a free slot, or None where nothing may be sent now."""


class DeliverySlots:
    """A fixed number of slots. Each sends one delivery after the other as long as there is a next one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        return len(self._tasks)

    @property
    def free(self) -> int:
        return self.size - self.running

    def fill(self, waiting: int, next_delivery: NextDelivery, on_free: Callable[[], object]) -> None:
        """Start up to `waiting` free slots; `on_free` is called when one has nothing more to send."""
        for _ in range(min(waiting, self.free)):
            task = asyncio.create_task(_run_slot(next_delivery))
            self._tasks.add(task)
            task.add_done_callback(lambda ended: self._release(ended, on_free))

    def _release(self, task: asyncio.Task[None], on_free: Callable[[], object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("delivery failed", exc_info=error)
        on_free()

    async def finished(self, grace: float | None = None) -> None:
        """Wait until nothing is in flight. After `grace` seconds the rest is cancelled."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_SETTLE_TIME)


async def _run_slot(next_delivery: NextDelivery) -> None:
    """Send one after the other: a task of its own for each letter would cost more than composing it."""
    task = asyncio.current_task()
    while delivery := next_delivery():
        await delivery
        if task is None or task.cancelling():  # cancelled, and the delivery has recorded that
            return


class Dispatcher:
    """Claims a little ahead of the free slots as long as anything due may be sent.

    It waits for the queue to get short and for the rates, not for the last delivery: a letter that
    is stuck for ten minutes holds up nothing but its own domain.
    """

    def __init__(
        self,
        *,
        courier: Courier,
        completer: Completer,
        slots: DeliverySlots,
        queue: ReadyQueue,
        breaker: Breaker,
        heartbeat: Heartbeat,
        clock: Clock,
        on_uncertain: Literal["resend", "hold"],
    ) -> None:
        self._courier = courier
        self._completer = completer
        self._slots = slots
        self._breaker = breaker
        self._queue = queue
        self._heartbeat = heartbeat
        self._clock = clock
        self._clock_check = heartbeat.clock_check
        self._errors = LoopErrors("scan")
        self._resends = on_uncertain == "resend"
        self._stopped = False
        self._lock = asyncio.Lock()
        self._scan: asyncio.Task[int] | None = None
        self._changed = asyncio.Event()  # the queue is short, a slot is free, a scan was requested, or we stop
        self._scan_requested = False
        self._started = 0
        self._unconfirmed_tokens: set[UUID] = set()

    def start(self) -> "asyncio.Task[int]":
        """Scan in a background task and return it; a scan that runs already checks again for due deliveries.

        The task is ours: those of APScheduler are cancelled at its shutdown.
        """
        self._scan_requested = True
        self._changed.set()
        if self._scan is None or self._scan.done():
            self._scan = asyncio.create_task(self._catching(self.run()))
        return self._scan

    async def run(self) -> int:
        """Scan until nothing that may be sent is due, and return how many deliveries were started.

        They finish later. Raises what the database raises. During an outage of the mail server it ends at once.
        """
        before = self._started
        async with self._lock:
            self._scan_requested = True
            try:
                while await self._step():
                    pass
            finally:
                self._release_queue()
        return self._started - before

    async def drain(self) -> None:
        while await self.run() or self._slots.running or not self._completer.complete:
            await self._slots.finished()
            await self._completer.completed()

    async def run_notices(self) -> None:
        """Start due notices. A scan that runs takes them first anyway."""
        if self._lock.locked():
            self._changed.set()
            return
        async with self._lock:
            await self._catching(self._claim_notices(self._slots.free))
            self._fill()

    @property
    def trouble(self) -> str:
        """Why the mail server cannot be used now; empty where it can."""
        return self._breaker.trouble

    def stop(self) -> None:
        self._stopped = True
        self._changed.set()

    async def ended(self) -> None:
        """Wait until a stopped scan has ended; queued claims are given back."""
        async with self._lock:
            self._release_queue()

    async def release_unconfirmed(self) -> None:
        """Give back what may have been claimed by a statement whose reply was lost."""
        for token in list(self._unconfirmed_tokens):
            await claims.unclaim(token, self._clock.now())
            self._unconfirmed_tokens.discard(token)

    async def _check_due(self) -> bool:
        """Run the checks of a scan, resends and expired confirmations included; False where nothing is due."""
        self._scan_requested = False
        due = await claims.find_due_work(self._clock.now())
        resent = due.uncertain and self._resends and await uncertain.resend_uncertain(self._clock.now())
        if resent:
            log.warning("resending uncertain deliveries", **batch_fields(resent))
        if due.unconfirmed and (cancelled := await confirmation.cancel_unconfirmed(self._clock.now())):
            log.info("unconfirmed deliveries cancelled", **batch_fields(cancelled))
        return bool(due.scheduled or resent)

    async def _step(self) -> bool:
        """Claim, fill the slots, and wait until more can be done; False ends the scan."""
        if self._stopped or self._breaker.is_open or not self._clock_check.passes():
            return False
        self._changed.clear()
        if self._scan_requested and not await self._check_due() and not self._queue:
            return False
        wait = self._wait()  # before claiming: a domain excluded from the claim may be free again when it returns
        claimed = await self._claim_due()
        self._fill()
        if not claimed and not self._queue and wait is None:
            return False
        if not claimed or not self._queue.wanted():
            await self._wait_for_change(inf if wait is None else wait)
        return True

    async def _claim_due(self) -> int:
        notices = await self._claim_notices(self._queue.wanted_notices())
        wanted = self._breaker.allowed(self._queue.wanted())
        letters = await self._claim(wanted, notices=False)
        self._queue.add(letters, wanted)
        return notices + len(letters)

    async def _claim_notices(self, limit: int) -> int:
        notices = await self._claim(self._breaker.allowed(limit), notices=True)
        self._queue.add_notices(notices)
        return len(notices)

    def _fill(self) -> None:
        self._slots.fill(len(self._queue), self._next_delivery, self._changed.set)
        for claimed in self._queue.take_rejected():
            self._completer.give_back(claimed)

    def _next_delivery(self) -> Coroutine[None, None, None] | None:
        claimed = self._queue.pop() if not self._stopped and self._breaker.allowed(1) else None
        if self._queue.wanted() or (self._slots.free and self._queue):
            self._changed.set()
        if claimed is None:
            return None
        self._started += 1
        return self._courier.deliver(claimed)

    def _release_queue(self) -> None:
        for claimed in self._queue.clear():
            self._completer.give_back(claimed)

    def _wait(self) -> float | None:
        """Return the seconds until more may be sent: inf until a slot is free, None where nothing is due."""
        return self._queue.wait() if self._breaker.allowed(self._slots.free) else inf

    async def _wait_for_change(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == inf else seconds):
                await self._changed.wait()

    async def _claim(self, limit: int, *, notices: bool) -> list[claims.Claimed]:
        if self._stopped or not limit or not self._clock_check.passes():
            return []
        await self.release_unconfirmed()
        token = uuid4()
        try:
            return await claims.claim(
                self._heartbeat.id,
                token,
                self._clock.now(),
                limit,
                notices=notices,
                closed=self._queue.closed_domains(),
            )
        except BaseException:
            # It may have been written and only the reply lost: no courier would send what it claimed.
            self._unconfirmed_tokens.add(token)
            raise

    async def _catching(self, scan: Awaitable[int]) -> int:
        with self._errors:
            return await scan
        return 0
