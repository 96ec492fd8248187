"""Workers, their heartbeats, and the leases they hold."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from tortoise.expressions import F

from app.store.models import Delivery, Lease, Worker

SCHEDULER = "scheduler"
_TROUBLE_LIMIT = _KEY_IDS_LIMIT = 255


async def register(worker: UUID, name: str, now: datetime, key_ids: str = "") -> None:
    """A worker may claim only after this. `key_ids`: the keys that it has loaded."""
    await Worker.create(id=worker, name=name, started_at=now, seen_at=now, key_ids=key_ids[:_KEY_IDS_LIMIT])


async def heartbeat(worker: UUID, now: datetime, trouble: str = "") -> bool:
    """Write a heartbeat, and why the mail server cannot be used. False: another worker removed this one as dead."""
    alive = Worker.filter(id=worker)
    return bool(await alive.update(beat=F("beat") + 1, seen_at=now, trouble=trouble[:_TROUBLE_LIMIT]))


async def heartbeats() -> Mapping[UUID, int]:
    return dict(await Worker.all().values_list("id", "beat"))


async def name_of(worker: UUID) -> str:
    names = await Worker.filter(id=worker).values_list("name", flat=True)
    return str(names[0]) if names else ""


async def unregister(worker: UUID) -> bool:
    """Remove a worker that stops, and release its leases. False: it still has claims, so others must recover it."""
    await Lease.filter(worker_id=worker).update(worker_id=None)
    if await Delivery.filter(claimed_by_id=worker, status="claimed").exists():
        return False
    await Worker.filter(id=worker).delete()
    return True


async def acquire_lease(name: str, worker: UUID, now: datetime) -> bool:
    free = Lease.filter(name=name, worker_id=None)
    return bool(await free.update(worker_id=worker, term=F("term") + 1, taken_at=now))


async def holds_lease(name: str, worker: UUID) -> bool:
    return await Lease.filter(name=name, worker_id=worker).exists()


async def release_lease(name: str, worker: UUID) -> None:
    await Lease.filter(name=name, worker_id=worker).update(worker_id=None)
