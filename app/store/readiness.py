"""Whether letters can be accepted: for /readyz, and before each letter is stored."""

import asyncio
from collections.abc import Sequence
from typing import Literal, NamedTuple

from app.clock import Clock
from app.store.cipher import LetterCipher
from app.store.database import is_unavailable, missing_migrations, probe_writing, reason_of, unknown_migrations
from app.store.key_rotation import missing_keys

_CACHE_TIME = 2.0  # seconds


class NotReady(OSError):
    """Letters cannot be accepted until an operator fixes the cause."""


class Fault(NamedTuple):
    """`text` is shown to everyone."""

    part: Literal["database", "migrations", "keys"]
    state: str
    text: str


class ReadinessCheck:
    """Caches the result for two seconds; concurrent callers share one check."""

    def __init__(self, cipher: LetterCipher, clock: Clock) -> None:
        self._cipher = cipher
        self._clock = clock
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._faults: Sequence[Fault] = ()

    async def check(self) -> None:
        if faults := await self.faults():
            raise NotReady("; ".join(fault.text for fault in faults))

    async def faults(self) -> Sequence[Fault]:
        async with self._lock:
            if self._clock.monotonic() - self._checked_at > _CACHE_TIME:
                self._faults = await self._check_all()
                self._checked_at = self._clock.monotonic()
            return self._faults

    async def _check_all(self) -> Sequence[Fault]:
        try:
            await probe_writing()
            return [*await _schema_faults(), *await self._key_faults()]
        except Exception as error:
            if not is_unavailable(error):
                raise
            return [Fault("database", "unreachable", reason_of(error))]

    async def _key_faults(self) -> Sequence[Fault]:
        missing = ", ".join(await missing_keys(self._cipher))
        return [Fault("keys", "missing", f"letters are sealed with a key that we lack: {missing}")] if missing else []


async def _schema_faults() -> Sequence[Fault]:
    if missing := ", ".join(await missing_migrations()):
        return [Fault("migrations", "missing", f"the database lacks {missing}")]
    if newer := ", ".join(await unknown_migrations()):
        return [Fault("migrations", "newer", f"the database is newer than this program: it has {newer}")]
    return []
