"""The guard: of all processes on all hosts, one runs the scheduler."""

import asyncio
from datetime import timedelta

from app.clock import Clock
from app.delivery.heartbeat import Heartbeat
from app.delivery.scheduler import Scheduler
from app.store import workers


class Leadership:
    """Holds the scheduler's lease, or waits for it.

    The lease saves work, it is not what keeps letters from being sent twice: the claims are.
    """

    def __init__(self, heartbeat: Heartbeat, scheduler: Scheduler, lease: timedelta, clock: Clock) -> None:
        self._heartbeat = heartbeat
        self._scheduler = scheduler
        # Trusted for less than it lasts, and from our last beat on, as the others count: we have
        # stopped before anybody can take us for dead.
        self._trust = lease.total_seconds() * 2 / 3
        self._clock = clock
        self._until = float("-inf")
        self._resigned = False
        self._asking = asyncio.Lock()

    async def tick(self, returned: int) -> None:
        """Take the lease if it is free, and start or stop the scheduler by whether we hold it.

        `returned` claims of dead workers are not left to wait for the next minute.
        """
        async with self._asking:
            if self._resigned:
                return
            self._until = self._heartbeat.beat_at + self._trust if await self._holds() else float("-inf")
        self.check()
        self._scheduler.rearm()
        if returned:
            self._scheduler.scan_now()

    async def _holds(self) -> bool:
        worker = self._heartbeat.id
        held = await workers.holds(workers.SCHEDULER, worker)
        return held or await workers.take(workers.SCHEDULER, worker, self._clock.now())

    def check(self) -> None:
        """Start or stop the scheduler; without a database, by what we knew last.

        A wrong clock must not purge letters either, so its jobs wait until the clock is trusted.
        """
        leading = not self._resigned and self._clock.monotonic() < self._until and self._heartbeat.clock_check.passes()
        if leading and not self._scheduler.running:
            self._scheduler.start()
        elif not leading and self._scheduler.running:
            self._scheduler.stop()

    async def resign(self) -> None:
        """Stop the scheduler for good, and free the lease so that another takes over at once."""
        self._resigned = True
        self.check()
        async with self._asking:  # a pulse that is about to take it would take it after us
            await workers.free(workers.SCHEDULER, self._heartbeat.id)
        await self._scheduler.ended()
