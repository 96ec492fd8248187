"""The nightly cleaning: what is past keeping is forgotten, a batch at a time."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from app.store.accounts import drop_ended_sessions
from app.store.bulk import drop_ended
from app.store.cleaning import cancel_hopeless, drop_attempts
from app.store.forgetting import purge
from app.store.quotas import drop_quota_counts
from app.store.vacuum import vacuum_if_worth_it


class Cleaning:
    """Forgets what was kept for `keep` after its last delivery."""

    def __init__(self, keep: timedelta) -> None:
        self._keep = keep

    async def __call__(self, now: datetime) -> AsyncIterator[int]:
        """Yield after each batch how many rows it forgot. What a batch was is in the log only as a number."""
        async for cancelled in cancel_hopeless(now, self._keep):
            yield cancelled
        async for purged in purge(now, self._keep):
            yield purged
        async for dropped in drop_attempts(now, self._keep):
            yield dropped
        yield await drop_quota_counts(now)
        yield await drop_ended_sessions(now)
        yield await drop_ended(now, self._keep)
        await vacuum_if_worth_it()
