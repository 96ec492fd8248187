"""Records hand-overs and outcomes in the database, in batches."""

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
from app.log import batch_fields
from app.mail.envelope import TransportError
from app.store import claims, settlements
from app.store.claims import Claimed
from app.store.database import is_unavailable
from app.store.quotas import Quotas
from app.store.settlements import Outcome, without_details

log = structlog.get_logger()
_BATCH_SIZE = 500
_OUTCOMES_PAUSE = 0.05  # seconds; nothing waits for these, and the journal keeps the server's replies
_RETRY_PAUSE = 1.0
"""Seconds between attempts to record outcomes while the database is unavailable."""


class Completer:
    """Shared by all deliveries in flight of this process. `settled` counts outcomes by status."""

    def __init__(self, heartbeat: Heartbeat, journal: Journal, clock: Clock, quotas: Quotas | None = None) -> None:
        self._heartbeat = heartbeat
        self._quotas = quotas
        self._journal = journal
        self._clock = clock
        self._hand_overs = BatchWriter(self._write_hand_overs, key=lambda claimed: claimed.id, limit=_BATCH_SIZE)
        self._outcomes = BatchWriter(
            self._write_outcomes, lambda outcome: outcome.claimed.id, limit=_BATCH_SIZE, pause=_OUTCOMES_PAUSE
        )
        self.settled: Counter[Status] = Counter()

    def hand_over(self, claimed: Claimed) -> "asyncio.Future[bool]":
        """Record that a message is about to be written. False: the claim was lost. Raises NotRecorded."""
        return self._hand_overs.add(claimed)

    def begun(self, claimed: Claimed) -> None:
        self._journal.begin((claimed.id, claimed.token))

    def answered(self, claimed: Claimed, reply: Reply) -> None:
        """Record the server's reply in the journal, in case this process is killed before it settles."""
        self._journal.answered((claimed.id, claimed.token), self._clock.now(), reply)

    def settle(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)

    def give_back(self, claimed: Claimed) -> None:
        self._outcomes.put(settlements.not_started(claimed, self._clock.now()))

    @property
    def complete(self) -> bool:
        return self._outcomes.idle

    async def completed(self, within: float | None = None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._outcomes.drained()

    async def _write_hand_overs(self, batch: Sequence[Claimed]) -> set[int]:
        return await claims.hand_over(batch, self._clock.now())

    async def _write_outcomes(self, batch: Sequence[Outcome]) -> set[int]:
        """Retry until it is recorded: a message that the server accepted must not be sent again.

        No other worker sends these meanwhile: our heartbeat stops only while the database cannot be written,
        and then the others cannot claim either. Raises what is wrong with one of several.
        """
        while True:
            try:
                settled = await settlements.settle(batch, self._heartbeat.name, self._quotas)
            except Exception as error:
                if is_unavailable(error):
                    waiting = [outcome.claimed.id for outcome in batch]
                    log.warning(
                        "database unavailable, outcomes wait", error=type(error).__name__, **batch_fields(waiting)
                    )
                    await asyncio.sleep(_RETRY_PAUSE)
                elif len(batch) > 1:
                    raise
                else:
                    return await self._write_without_details(batch[0], error)
            else:
                self._journal.forget(outcome.claimed.id for outcome in batch)
                self._log(batch, settled)
                return settled

    async def _write_without_details(self, outcome: Outcome, error: Exception) -> set[int]:
        """Record only the new state. Where that fails, too, the delivery stays claimed until this worker ends."""
        log.error("outcome cannot be recorded", exc_info=error, **_facts(outcome))
        bare = without_details(outcome)
        return set() if outcome == bare else await self._write_outcomes([bare])

    def _log(self, batch: Sequence[Outcome], settled: Collection[int]) -> None:
        sent = []
        for outcome in batch:
            if outcome.claimed.id not in settled:
                log.warning("claim lost before it was settled", **_facts(outcome))
            elif outcome.started:
                self.settled[outcome.status] += 1
                if outcome.status is Status.SENT:
                    sent.append(outcome.claimed.id)
                else:
                    log.info("settled", **_facts(outcome))
        if sent:
            log.info("settled", status=Status.SENT.value, deliveries=sent)


def _facts(outcome: Outcome) -> dict[str, Any]:
    claimed, reply = outcome.claimed, outcome.attempt.reply if outcome.attempt else None
    return {
        "delivery": claimed.id,
        "occasion": claimed.occasion.value,
        "status": outcome.status.value,
        "code": reply.code if reply else None,
    }


T = TypeVar("T")


class NotRecorded(TransportError):
    """A hand-over could not be recorded, so the message must not be written."""


class BatchWriter(Generic[T]):
    """Gathers single writes into statements, in order.

    A round trip and a flushed log for each letter would be the slowest part of sending it. A write
    waits for the running statement, a pause after it, and then its own statement, never longer.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[set[int]]],
        key: Callable[[T], int],
        limit: int,
        pause: float = 0.0,
    ) -> None:
        """`write` returns the keys that were written; `limit` is a batch's size, `pause` in seconds."""
        self._write = write
        self._key = key
        self._limit = limit
        self._pause = pause
        self._pause_ends = 0.0
        self._skip_pause = asyncio.Event()
        self._waiting: list[tuple[T, asyncio.Future[bool] | None]] = []
        self._writer: asyncio.Task[None] | None = None

    def add(self, item: T) -> "asyncio.Future[bool]":
        """Return whether `item` was written, as a future; that raises NotRecorded.

        An item whose future is cancelled is written all the same.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._put(item, written)
        return written

    def put(self, item: T) -> None:
        """Have `item` written; what the statement raises is dropped."""
        self._put(item, None)

    def _put(self, item: T, written: asyncio.Future[bool] | None) -> None:
        self._waiting.append((item, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())

    @property
    def idle(self) -> bool:
        return self._writer is None

    async def drained(self) -> None:
        self._skip_pause.set()
        while self._writer:
            await asyncio.wait([self._writer])
        self._skip_pause.clear()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._wait_for_more()
                batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                await self._write_batch(batch)
                self._pause_ends = asyncio.get_running_loop().time() + self._pause
        finally:
            self._writer = None

    async def _wait_for_more(self) -> None:
        seconds = self._pause_ends - asyncio.get_running_loop().time()
        if self._pause and seconds > 0 and len(self._waiting) < self._limit:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._skip_pause.wait()

    async def _write_batch(self, batch: Sequence[tuple[T, asyncio.Future[bool] | None]]) -> None:
        try:
            keys = await self._write([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - raised by the futures
            if len(batch) > 1 and not is_unavailable(error):
                for one in batch:  # one item is at fault, the others are written without it
                    await self._write_batch([one])
                return
            for _, written in batch:
                if written is not None and not written.done():
                    written.set_exception(NotRecorded(type(error).__name__))
            return
        for item, written in batch:
            if written is not None and not written.done():
                written.set_result(self._key(item) in keys)
