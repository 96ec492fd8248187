"""Leader election: of all processes on all hosts, one runs the scheduler."""

import asyncio
from datetime import timedelta

from app.clock import Clock
from app.delivery.heartbeat import Heartbeat
from app.delivery.scheduler import Scheduler
from app.store import workers


class Leadership:
    """Holds the scheduler's lease, or waits for it.

    The lease saves work; what keeps letters from being sent twice are the claims.
    """

    def __init__(self, heartbeat: Heartbeat, scheduler: Scheduler, lease: timedelta, clock: Clock) -> None:
        self._heartbeat = heartbeat
        self._scheduler = scheduler
        # Shorter than the lease, and counted from our last heartbeat as the other workers count:
        # we have stopped before one of them can take over.
        self._valid_for = lease.total_seconds() * 2 / 3
        self._clock = clock
        self._leads_until = float("-inf")
        self._resigned = False
        self._lock = asyncio.Lock()

    async def tick(self, recovered: int) -> None:
        """Take the lease if it is free, and start or stop the scheduler accordingly.

        Scans at once where `recovered` claims of dead workers may be due.
        """
        async with self._lock:
            if self._resigned:
                return
            self._leads_until = self._heartbeat.beat_at + self._valid_for if await self._acquire() else float("-inf")
        self.check()
        self._scheduler.rearm()
        if recovered:
            self._scheduler.scan_now()

    async def _acquire(self) -> bool:
        worker = self._heartbeat.id
        held = await workers.holds_lease(workers.SCHEDULER, worker)
        return held or await workers.acquire_lease(workers.SCHEDULER, worker, self._clock.now())

    def check(self) -> None:
        """Start or stop the scheduler by the lease's remaining time, without the database.

        A wrong clock must not purge letters either, so daily jobs wait until it passes, too.
        """
        held = self._clock.monotonic() < self._leads_until
        leads = held and not self._resigned and self._heartbeat.clock_check.passes()
        if leads and not self._scheduler.running:
            self._scheduler.start()
        elif not leads and self._scheduler.running:
            self._scheduler.stop()

    async def resign(self) -> None:
        """Stop the scheduler for good, and free the lease so that another worker takes over at once."""
        self._resigned = True
        self.check()
        async with self._lock:  # a tick that is just taking the lease would take it after us
            await workers.release_lease(workers.SCHEDULER, self._heartbeat.id)
        await self._scheduler.ended()
