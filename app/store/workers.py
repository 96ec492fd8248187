"""Workers, their beats, and the leases they hold."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from tortoise.expressions import F

from app.store.models import Delivery, Lease, Worker

SCHEDULER = "scheduler"
_TROUBLE_LIMIT = _KEY_IDS_LIMIT = 255


async def register(worker: UUID, name: str, now: datetime, key_ids: str = "") -> None:
    """Enter a process among the workers, with the keys that it knows; only then may it claim."""
    await Worker.create(id=worker, name=name, started_at=now, seen_at=now, key_ids=key_ids[:_KEY_IDS_LIMIT])


async def heartbeat(worker: UUID, now: datetime, trouble: str = "") -> bool:
    """Show that a worker is alive, and what keeps it from the mail server if anything does.

    False: it was taken for dead and struck off.
    """
    alive = Worker.filter(id=worker)
    return bool(await alive.update(beat=F("beat") + 1, seen_at=now, trouble=trouble[:_TROUBLE_LIMIT]))


async def heartbeats() -> Mapping[UUID, int]:
    """Return every worker's beat."""
    return dict(await Worker.all().values_list("id", "beat"))


async def name_of(worker: UUID) -> str:
    """Return what people know a worker by, or nothing where it was struck off."""
    names = await Worker.filter(id=worker).values_list("name", flat=True)
    return str(names[0]) if names else ""


async def retire(worker: UUID) -> bool:
    """Strike off a worker that stops, and free its leases.

    False: it still has claims, and is left for the others to find dead.
    """
    await Lease.filter(worker_id=worker).update(worker_id=None)
    if await Delivery.filter(claimed_by_id=worker, status="claimed").exists():
        return False
    await Worker.filter(id=worker).delete()
    return True


async def take(name: str, worker: UUID, now: datetime) -> bool:
    """Take a lease that nobody holds. Of several who try at once, one gets it."""
    free = Lease.filter(name=name, worker_id=None)
    return bool(await free.update(worker_id=worker, term=F("term") + 1, taken_at=now))


async def holds(name: str, worker: UUID) -> bool:
    """Return whether a worker holds a lease."""
    return await Lease.filter(name=name, worker_id=worker).exists()


async def free(name: str, worker: UUID) -> None:
    """Give a lease up, if it is ours."""
    await Lease.filter(name=name, worker_id=worker).update(worker_id=None)
