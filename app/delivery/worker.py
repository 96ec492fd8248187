"""All of this process that delivers, from entering among the workers to leaving them."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from types import TracebackType

import structlog

from app.delivery.completer import Completer
from app.delivery.dispatcher import DeliverySlots, Dispatcher
from app.delivery.heartbeat import Heartbeat
from app.delivery.leadership import Leadership
from app.delivery.loop_errors import LoopErrors
from app.store.database import is_unavailable
from app.store.job_runs import last_scan_at

log = structlog.get_logger()
GRACE = 30.0
"""Seconds that deliveries in flight may take to end, once the program stops."""
_SETTLE_TIME = 5.0  # seconds for the endings of what was called back then
_SLOWEST_HEARTBEAT = 2.0  # seconds; so that a dead leader is relieved within the lease and 5 s


class Worker:
    """An async context: inside it this process beats, and with a `leadership` it may lead."""

    def __init__(
        self,
        heartbeat: Heartbeat,
        leadership: Leadership | None,
        dispatcher: Dispatcher,
        slots: DeliverySlots,
        completer: Completer,
        lease: timedelta,
        *,
        scan_interval: timedelta,
        grace: float = GRACE,
    ) -> None:
        self.dispatcher = dispatcher
        self.slots = slots
        self.completer = completer
        self.heartbeat = heartbeat
        self._leadership = leadership
        self._scan_interval = scan_interval
        self._lease = lease.total_seconds()
        self._interval = min(lease.total_seconds() / 6, _SLOWEST_HEARTBEAT)
        self._grace = grace
        self._errors = {part: LoopErrors(part) for part in ("heartbeat", "take-over", "claims", "leadership", "leader")}
        self._closing = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Worker":
        self.heartbeat.clock_check.start(await last_scan_at(self._scan_interval))
        await self.heartbeat.join()
        await self.tick()
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is in flight within the grace time, give the rest back, and leave."""
        self.stop()
        if self._stopping:
            await self._stopping
        await self.dispatcher.ended()
        await self.slots.finished(self._grace)
        await self.completer.completed(_SETTLE_TIME)
        self._closing.set()
        if self._beating:
            await self._beating
        with _tolerating_unavailable_database():
            await self.dispatcher.release_unconfirmed()
            await self.heartbeat.leave()

    def stop(self) -> None:
        """Claim nothing any more, and let another process lead. May be called from a signal."""
        self.dispatcher.stop()
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._resign())

    async def wait_for_clock(self) -> None:
        """Wait until the clock is trusted; see ClockCheck."""
        while not self.heartbeat.clock_check.passes():  # noqa: ASYNC110 - time passes by itself
            await asyncio.sleep(1)

    async def tick(self) -> None:
        """Write a heartbeat, take over from the dead, and lead if no other does; what fails stops nothing else."""
        with self._errors["heartbeat"]:
            await self.heartbeat.beat(self.dispatcher.trouble)
            returned = 0
            with self._errors["take-over"]:
                returned = await self.heartbeat.recover_stalled()
            with self._errors["claims"]:
                await self.dispatcher.release_unconfirmed()
            with self._errors["leadership"]:
                if self._leadership:
                    await self._leadership.tick(returned)
        self._check_leadership()

    def _check_leadership(self) -> None:
        with self._errors["leader"]:
            if self._leadership:
                self._leadership.check()

    async def _resign(self) -> None:
        if self._leadership:
            with _tolerating_unavailable_database():
                await self._leadership.resign()

    async def _beat(self) -> None:
        """Pulse every interval. While a pulse hangs in the database, our trust in the lease runs out all the same.

        One that hangs for a lease is given up for another: its connection may be dead without a word.
        """
        tick: asyncio.Task[None] | None = None
        ends = 0.0
        loop = asyncio.get_running_loop()
        while not await self._closed_within(self._interval):
            self._check_leadership()
            if tick and not tick.done() and loop.time() >= ends:
                tick.cancel()
                self._errors["heartbeat"].add(TimeoutError())
                tick = None
            if tick is None or tick.done():
                tick, ends = asyncio.create_task(self.tick()), loop.time() + self._lease
        if tick:
            tick.cancel()
            await asyncio.wait([tick], timeout=_SETTLE_TIME)

    async def _closed_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self._closing.is_set()


@contextlib.contextmanager
def _tolerating_unavailable_database() -> Iterator[None]:
    """Leave undone what the others will find out by our silence."""
    try:
        yield
    except Exception as error:
        if not is_unavailable(error):
            raise
        log.warning("the database is away; the others will find out", error=type(error).__name__)
