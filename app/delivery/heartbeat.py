"""This process among the workers: its own beat, and whose beat has stood still."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from app.clock import Clock
from app.delivery.clock_check import ClockCheck
from app.delivery.journal import Journal
from app.delivery.recovery import Recovery
from app.log import listed
from app.store import workers

log = structlog.get_logger()


class StallDetector:
    """Finds out whose beat stands still, on our own monotonic clock.

    Only time during which we looked counts: after a gap (the database was away, this process was
    stopped) everybody gets the whole lease again.
    """

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease.total_seconds()
        self._seen: dict[UUID, tuple[int, float]] = {}
        self._looked_at = float("-inf")

    def stalled(self, beats: Mapping[UUID, int], now: float) -> list[tuple[UUID, int]]:
        """Return the workers whose beat has not moved for a lease, with that beat."""
        unbroken = now - self._looked_at < self._lease / 2
        self._looked_at = now
        known = self._seen if unbroken else {}
        self._seen = {
            worker: known[worker] if known.get(worker, (None,))[0] == beat else (beat, now)
            for worker, beat in beats.items()
        }
        return [(worker, beat) for worker, (beat, since) in self._seen.items() if now - since >= self._lease]


class Heartbeat:
    """Enters this process among the workers, shows that it lives, and relieves the dead."""

    def __init__(
        self, name: str, lease: timedelta, clock: Clock, journal: Journal, recovery: Recovery, key_ids: str = ""
    ) -> None:
        """Take the ids of the keys that this process knows, for whoever rotates them."""
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
        """When we began to write our last beat, on the monotonic clock: others count from then."""
        self._written_at = clock.monotonic()

    @property
    def silent_for(self) -> timedelta:
        """How long our own heartbeat has not been written."""
        return timedelta(seconds=self._clock.monotonic() - self._written_at)

    @property
    def clock_deviation(self) -> timedelta:
        """See ClockCheck.deviation."""
        return self.clock_check.deviation

    async def join(self) -> None:
        await workers.register(self.id, self.name, self._clock.now(), self._key_ids)
        self._written_at = self._clock.monotonic()
        self._journal.open(self.id)

    async def tick(self, trouble: str = "") -> int:
        """Beat once, and take back what dead workers held. Returns how many claims that were.

        Our own beat is written first: where writing fails (the disk is full, the database is
        read-only) nobody else can beat either, and nobody must be taken for dead.
        """
        await self.beat(trouble)
        return await self.recover_stalled()

    async def beat(self, trouble: str = "") -> None:
        """Write our heartbeat. `trouble` is what keeps us from the mail server; every admin page shows it."""
        self.beat_at = self._clock.monotonic()
        if not await workers.heartbeat(self.id, self._clock.now(), trouble):
            log.warning("taken for dead: this process stood still for longer than the lease", worker=self.name)
            self.id = uuid4()
            await self.join()
        self._written_at = self._clock.monotonic()

    async def recover_stalled(self) -> int:
        """Take over from the workers whose beat stands still; return how many claims came back.

        Raises the last error: a worker that cannot be relieved keeps no other from it.
        """
        self._journal.reopen()
        beats = await workers.heartbeats()
        await self._recovery.recover_orphans(beats.keys())
        others = {worker: beat for worker, beat in beats.items() if worker != self.id}
        returned = 0
        failure: Exception | None = None
        for worker, beat in self._stall_detector.stalled(others, self._clock.monotonic()):
            try:
                taken = await self._recovery.recover(worker, beat)
            except Exception as error:  # noqa: BLE001 - raised below
                failure = error
                continue
            log.warning("reclaimed", dead_worker=str(worker), **listed(taken))
            returned += len(taken)
        if failure:
            raise failure
        return returned

    async def leave(self) -> None:
        """Strike ourselves off, if everything is settled; or else others find out by our silence."""
        self._journal.close(delete=await workers.retire(self.id))
