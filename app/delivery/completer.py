"""What the couriers put on record, a group at a time: hand-overs and endings."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Generic, TypeVar

import structlog

from app.clock import Clock
from app.delivery.heartbeat import Heartbeat
from app.delivery.journal import Journal
from app.domain.retry import Reply
from app.domain.status import Status
from app.log import listed
from app.mail.envelope import TransportError
from app.store import claims, settlements
from app.store.claims import Claimed
from app.store.database import is_unavailable
from app.store.quotas import Quotas
from app.store.settlements import Outcome, plain

log = structlog.get_logger()
_GROUP = 500
_OUTCOMES_PAUSE = 0.05  # seconds; nobody waits for these, and what the server said is kept by `answers`
_DATABASE_PAUSE = 1.0
"""Seconds between tries to record endings while the database is away."""


class Completer:
    """Shared by all deliveries in flight of this process. `settled` counts how they ended."""

    def __init__(self, heartbeat: Heartbeat, journal: Journal, clock: Clock, quotas: Quotas | None = None) -> None:
        self._heartbeat = heartbeat
        self._quotas = quotas
        self._journal = journal
        self._clock = clock
        self._hand_overs = BatchWriter(self._write_hand_overs, key=lambda claimed: claimed.id, limit=_GROUP)
        self._endings = BatchWriter(
            self._write_endings, lambda ending: ending.claimed.id, limit=_GROUP, pause=_OUTCOMES_PAUSE
        )
        self.settled: Counter[Status] = Counter()

    def hand_over(self, claimed: Claimed) -> "asyncio.Future[bool]":
        """Put on record that a message is about to leave. False: the claim was lost. Raises NotOnRecord."""
        return self._hand_overs.add(claimed)

    def begun(self, claimed: Claimed) -> None:
        """Keep that a message's final dot is about to be written."""
        self._journal.begin((claimed.id, claimed.token))

    def answered(self, claimed: Claimed, reply: Reply) -> None:
        """Keep what the server said, in case that we do not live to settle it."""
        self._journal.answered((claimed.id, claimed.token), self._clock.now(), reply)

    def settle(self, ending: Outcome) -> None:
        """Have it recorded how a delivery ended, and counted and logged once it is; nobody waits for that."""
        self._endings.put(ending)

    def give_back(self, claimed: Claimed) -> None:
        """Have it recorded that a claim was never begun."""
        self._endings.put(settlements.never_begun(claimed, self._clock.now()))

    @property
    def complete(self) -> bool:
        """Whether every ending is on record."""
        return self._endings.idle

    async def completed(self, within: float | None = None) -> None:
        """Wait until every ending is on record, those of who was called back too, or `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._endings.drained()

    async def _write_hand_overs(self, group: Sequence[Claimed]) -> set[int]:
        return await claims.hand_over(group, self._clock.now())

    async def _write_endings(self, group: Sequence[Outcome]) -> set[int]:
        """Write until it is written: what a mail server has accepted must come on record.

        Nobody sends these again meanwhile. Our beat stands still only while we cannot write, and
        then the others cannot either. Raises what is wrong with one of several.
        """
        while True:
            try:
                settled = await settlements.settle(group, self._heartbeat.name, self._quotas)
            except Exception as error:
                if is_unavailable(error):
                    waiting = [ending.claimed.id for ending in group]
                    log.warning("the database is away; endings wait", error=type(error).__name__, **listed(waiting))
                    await asyncio.sleep(_DATABASE_PAUSE)
                elif len(group) > 1:
                    raise
                else:
                    return await self._write_plain(group[0], error)
            else:
                self._journal.forget(ending.claimed.id for ending in group)
                self._tell(group, settled)
                return settled

    async def _write_plain(self, ending: Outcome, error: Exception) -> set[int]:
        """Write an ending that does not fit without what may not; else its worker's end will free it."""
        log.error("an ending could not be recorded", exc_info=error, **_facts(ending))
        bare = plain(ending)
        return set() if ending == bare else await self._write_endings([bare])

    def _tell(self, group: Sequence[Outcome], settled: Collection[int]) -> None:
        """Count and log how they ended: those that were simply sent together, each other by itself."""
        sent = []
        for ending in group:
            if ending.claimed.id not in settled:
                log.warning("the claim was lost before it was settled", **_facts(ending))
            elif ending.begun:
                self.settled[ending.status] += 1
                if ending.status is Status.SENT:
                    sent.append(ending.claimed.id)
                else:
                    log.info("settled", **_facts(ending))
        if sent:
            log.info("settled", status=Status.SENT.value, deliveries=sent)


def _facts(ending: Outcome) -> dict[str, Any]:
    claimed, reply = ending.claimed, ending.tried.reply if ending.tried else None
    return {
        "delivery": claimed.id,
        "occasion": claimed.occasion.value,
        "status": ending.status.value,
        "code": reply.code if reply else None,
    }


T = TypeVar("T")


class NotRecorded(TransportError):
    """Something could not be put on record, so what hangs on it must not be done."""


class BatchWriter(Generic[T]):
    """Gathers single writes into statements, in the order they came.

    A round trip and a flushed log for each letter would be the slowest part of sending it. Nobody
    waits longer than for the statement that runs already, a pause after it, and then their own.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[set[int]]],
        key: Callable[[T], int],
        limit: int,
        pause: float = 0.0,
    ) -> None:
        """Take what writes a group and returns the keys that were written, a group's most, and seconds."""
        self._write = write
        self._key = key
        self._limit = limit
        self._pause = pause
        self._pause_ends = 0.0
        self._hurried = asyncio.Event()
        self._waiting: list[tuple[T, asyncio.Future[bool] | None]] = []
        self._writer: asyncio.Task[None] | None = None

    def add(self, item: T) -> "asyncio.Future[bool]":
        """Have `item` written, and return what tells whether it was. That raises NotOnRecord.

        An item whose future is cancelled is written all the same.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._put(item, written)
        return written

    def put(self, item: T) -> None:
        """Have `item` written without waiting for it; what the statement raises is nobody's."""
        self._put(item, None)

    def _put(self, item: T, written: asyncio.Future[bool] | None) -> None:
        self._waiting.append((item, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())

    @property
    def idle(self) -> bool:
        """Whether everything is written."""
        return self._writer is None

    async def drained(self) -> None:
        """Wait until everything is written, without a pause."""
        self._hurried.set()
        while self._writer:
            await asyncio.wait([self._writer])
        self._hurried.clear()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._rest()
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                await self._write_one(group)
                self._pause_ends = asyncio.get_running_loop().time() + self._pause
        finally:
            self._writer = None

    async def _rest(self) -> None:
        """Let more come together after a statement, where somebody is writing all the time."""
        seconds = self._pause_ends - asyncio.get_running_loop().time()
        if self._pause and seconds > 0 and len(self._waiting) < self._limit:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hurried.wait()

    async def _write_one(self, group: Sequence[tuple[T, asyncio.Future[bool] | None]]) -> None:
        try:
            keys = await self._write([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - each of them is told
            if len(group) > 1 and not is_unavailable(error):
                for one in group:  # one of them does not fit; the others are not to suffer for it
                    await self._write_one([one])
            else:
                for written in _awaited(group):
                    written.set_exception(NotRecorded(type(error).__name__))
            return
        for item, waiting in group:
            if waiting is not None and not waiting.done():
                waiting.set_result(self._key(item) in keys)


def _awaited(group: Sequence[tuple[T, asyncio.Future[bool] | None]]) -> list[asyncio.Future[bool]]:
    """Return those that somebody still waits for."""
    return [written for _, written in group if written is not None and not written.done()]
