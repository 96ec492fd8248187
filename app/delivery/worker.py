"""A process that delivers: it registers, sends heartbeats, scans, and on stopping gives back its claims."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta

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
"""Seconds that deliveries in flight may take to end once the program stops."""
_SETTLE_TIME = 5.0  # seconds to settle what was cancelled then
_MAX_INTERVAL = 2.0  # seconds; so that a dead leader is replaced within the lease and 5 s


class Worker:
    """An async context: inside it this process sends heartbeats, and with a `leadership` it may lead."""

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
        self._interval = min(self._lease / 6, _MAX_INTERVAL)
        self._grace = grace
        self._errors = {part: LoopErrors(part) for part in ("heartbeat", "recovery", "claims", "leadership", "leader")}
        self._closing = asyncio.Event()
        self._heartbeats: asyncio.Task[None] | None = None
        self._resigning: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Worker":
        self.heartbeat.clock_check.start(await last_scan_at(self._scan_interval))
        await self.heartbeat.join()
        await self.tick()
        self._heartbeats = asyncio.create_task(self._send_heartbeats())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finish deliveries in flight within the grace time, give back the other claims, and leave."""
        self.stop()
        if self._resigning:
            await self._resigning
        await self.dispatcher.ended()
        await self.slots.finished(self._grace)
        await self.completer.completed(_SETTLE_TIME)
        self._closing.set()
        if self._heartbeats:
            await self._heartbeats
        with _ignoring_unavailable_database():
            await self.dispatcher.release_unconfirmed()
            await self.heartbeat.leave()

    def stop(self) -> None:
        """Claim nothing more, and let another process lead. May be called from a signal handler."""
        self.dispatcher.stop()
        if self._resigning is None:
            self._resigning = asyncio.create_task(self._resign())

    async def wait_for_clock(self) -> None:
        while not self.heartbeat.clock_check.passes():  # noqa: ASYNC110 - time passes by itself
            await asyncio.sleep(1)

    async def tick(self) -> None:
        """Send a heartbeat, recover stalled workers, and lead if no other does. What fails stops no other part.

        Only a failed heartbeat ends the round: where it cannot be written (the disk is full, the database
        read-only) the other workers cannot write theirs either, and must not be taken for stalled.
        """
        with self._errors["heartbeat"]:
            await self.heartbeat.beat(self.dispatcher.trouble)
            recovered = 0
            with self._errors["recovery"]:
                recovered = await self.heartbeat.recover_stalled()
            with self._errors["claims"]:
                await self.dispatcher.release_unconfirmed()
            with self._errors["leadership"]:
                if self._leadership:
                    await self._leadership.tick(recovered)
        self._check_leadership()

    def _check_leadership(self) -> None:
        with self._errors["leader"]:
            if self._leadership:
                self._leadership.check()

    async def _resign(self) -> None:
        if self._leadership:
            with _ignoring_unavailable_database():
                await self._leadership.resign()

    async def _send_heartbeats(self) -> None:
        """Tick every interval. While a tick hangs in the database, leadership is still checked and runs out in time.

        A tick that hangs for a lease is cancelled and a new one started: its connection may be dead.
        """
        tick: asyncio.Task[None] | None = None
        deadline = 0.0
        loop = asyncio.get_running_loop()
        while not await self._closed_within(self._interval):
            self._check_leadership()
            if tick and not tick.done() and loop.time() >= deadline:
                tick.cancel()
                self._errors["heartbeat"].add(TimeoutError())
                tick = None
            if tick is None or tick.done():
                tick, deadline = asyncio.create_task(self.tick()), loop.time() + self._lease
        if tick:
            tick.cancel()
            await asyncio.wait([tick], timeout=_SETTLE_TIME)

    async def _closed_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self._closing.is_set()


@contextlib.contextmanager
def _ignoring_unavailable_database() -> Iterator[None]:
    """The other workers recover what is left once our heartbeat has stopped."""
    try:
        yield
    except Exception as error:
        if not is_unavailable(error):
            raise
        log.warning("database unavailable while stopping", error=type(error).__name__)
