"""This worker's heartbeat, and the recovery of workers whose heartbeat has stopped."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from app.clock import Clock
from app.delivery.clock_check import ClockCheck
from app.delivery.journal import Journal
from app.delivery.recovery import Recovery
from app.log import batch_fields
from app.store import workers

log = structlog.get_logger()


class StallDetector:
    """Detects workers whose heartbeat counter has stopped, by the local monotonic clock.

    Only time during which we checked counts: after a gap (the database was away, this process was
    stopped) every worker gets the whole lease again.
    """

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease.total_seconds()
        self._seen: dict[UUID, tuple[int, float]] = {}
        self._checked_at = float("-inf")

    def stalled(self, beats: Mapping[UUID, int], now: float) -> list[tuple[UUID, int]]:
        unbroken = now - self._checked_at < self._lease / 2
        self._checked_at = now
        known = self._seen if unbroken else {}
        self._seen = {
            worker: known[worker] if known.get(worker, (None,))[0] == beat else (beat, now)
            for worker, beat in beats.items()
        }
        return [(worker, beat) for worker, (beat, since) in self._seen.items() if now - since >= self._lease]


class Heartbeat:
    """Registers this process as a worker, sends its heartbeats, and recovers stalled workers."""

    def __init__(
        self, name: str, lease: timedelta, clock: Clock, journal: Journal, recovery: Recovery, key_ids: str = ""
    ) -> None:
        """`key_ids`: the keys that this process has loaded, shown to a key rotation."""
        self.id = uuid4()
        self.name = name
        self._key_ids = key_ids
        self.lease = lease
        self.clock_check = ClockCheck(clock)
        self._stall_detector = StallDetector(lease)
        self._clock = clock
        self._journal = journal
        self._recovery = recovery
        self.beat_at = float("-inf")
        """Monotonic time at which we began to write our last heartbeat: other workers count from then."""
        self._written_at = clock.monotonic()

    @property
    def silent_for(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic() - self._written_at)

    @property
    def clock_deviation(self) -> timedelta:
        return self.clock_check.deviation

    async def join(self) -> None:
        await workers.register(self.id, self.name, self._clock.now(), self._key_ids)
        self._written_at = self._clock.monotonic()
        self._journal.open(self.id)

    async def beat(self, trouble: str = "") -> None:
        """Write our heartbeat. `trouble`: why the mail server cannot be used, shown on the admin pages."""
        self.beat_at = self._clock.monotonic()
        if not await workers.heartbeat(self.id, self._clock.now(), trouble):
            log.warning("recovered by another worker: no heartbeat for a lease; registering again", worker=self.name)
            self.id = uuid4()
            await self.join()
        self._written_at = self._clock.monotonic()

    async def recover_stalled(self) -> int:
        """Return how many claims of stalled workers were ended.

        Raises the last error: a worker that cannot be recovered does not keep the others waiting.
        """
        self._journal.reopen()
        beats = await workers.heartbeats()
        await self._recovery.recover_orphans(beats.keys())
        others = {worker: beat for worker, beat in beats.items() if worker != self.id}
        recovered = 0
        failure: Exception | None = None
        for worker, beat in self._stall_detector.stalled(others, self._clock.monotonic()):
            try:
                claims = await self._recovery.recover(worker, beat)
            except Exception as error:  # noqa: BLE001 - raised below
                failure = error
                continue
            log.warning("worker recovered", dead_worker=str(worker), **batch_fields(claims))
            recovered += len(claims)
        if failure:
            raise failure
        return recovered

    async def leave(self) -> None:
        """Deregister if everything is settled; otherwise other workers recover our claims after the lease."""
        self._journal.close(delete=await workers.unregister(self.id))
