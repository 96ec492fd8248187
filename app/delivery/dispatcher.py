"""The minute's work: claim what is due, and see it off."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import Any, Literal
from uuid import UUID, uuid4

import structlog

from app.clock import Clock
from app.delivery.breaker import Breaker
from app.delivery.completer import Completer
from app.delivery.courier import Courier
from app.delivery.heartbeat import Heartbeat
from app.delivery.loop_errors import LoopErrors
from app.delivery.ready_queue import ReadyQueue
from app.log import listed
from app.store import claims, confirmation, uncertain

_SETTLE_TIME = 5.0
"""Seconds for one that is called back to put its end on record."""

NextDelivery = Callable[[], Coroutine[Any, Any, None] | None]
"""Gives the next flight to whoever has a free seat, or None where nothing may leave now."""


class DeliverySlots:
    """So many seats. Whoever lands boards the next flight by itself, as long as there is one."""

    def __init__(self, seats: int) -> None:
        self.size = seats
        self._flying: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        return len(self._flying)

    @property
    def free(self) -> int:
        return self.size - self.running

    def fill(self, passengers: int, board: NextDelivery, landed: Callable[[], object]) -> None:
        """Let so many free seats board; `landed` is called when one is free again and stays empty."""
        for _ in range(min(passengers, self.free)):
            seat = asyncio.create_task(_run_slot(board))
            self._flying.add(seat)
            seat.add_done_callback(lambda ended: self._leave(ended, landed))

    def _leave(self, seat: asyncio.Task[None], landed: Callable[[], object]) -> None:
        self._flying.discard(seat)
        if not seat.cancelled() and (error := seat.exception()):
            log.error("a flight crashed", exc_info=error)
        landed()

    async def finished(self, grace: float | None = None) -> None:
        """Wait until nothing is in flight. After `grace` seconds those still out are called back."""
        if self._flying:
            _, late = await asyncio.wait(self._flying, timeout=grace)
            for seat in late:
                seat.cancel()
            if late:
                await asyncio.wait(late, timeout=_SETTLE_TIME)


async def _run_slot(board: NextDelivery) -> None:
    """Fly one after the other: a coroutine of its own for each letter would cost more than composing it."""
    seat = asyncio.current_task()
    while flight := board():
        await flight
        if seat is None or seat.cancelling():  # called back, and its flight has put that on record
            return


log = structlog.get_logger()


class Dispatcher:
    """Claims as long as anything is due that may leave, a little ahead of the seats, and fills these.

    It waits for the line to get short and for the rates, not for the last landing: a letter that
    is stuck for ten minutes holds up nothing but its own domain.
    """

    def __init__(
        self,
        *,
        courier: Courier,
        completer: Completer,
        slots: DeliverySlots,
        queue: ReadyQueue,
        breaker: Breaker,
        heartbeat: Heartbeat,
        clock: Clock,
        on_uncertain: Literal["resend", "hold"],
    ) -> None:
        self._courier = courier
        self._completer = completer
        self._slots = slots
        self._breaker = breaker
        self._queue = queue
        self._heartbeat = heartbeat
        self._clock = clock
        self._clock_check = heartbeat.clock_check
        self._errors = LoopErrors("scan")
        self._resends = on_uncertain == "resend"
        self._stopped = False
        self._one_at_a_time = asyncio.Lock()
        self._background: asyncio.Task[int] | None = None
        self._stirred = asyncio.Event()  # something changed: the line is short, a seat is empty, a new minute, the end
        self._asked = False
        self._started = 0
        self._doubtful: set[UUID] = set()

    def start(self) -> "asyncio.Task[int]":
        """Scan in the background and return that; a scan that runs already looks again at what is due.

        The background is ours: what runs in APScheduler's own is cancelled at its shutdown.
        """
        self._asked = True
        self._stirred.set()
        if self._background is None or self._background.done():
            self._background = asyncio.create_task(self._survived(self.run()))
        return self._background

    async def run(self) -> int:
        """Scan until nothing is due that may leave, and return how many were started.

        They land later. Raises what the database raises. During an outage of the mail server it
        ends at once.
        """
        before = self._started
        async with self._one_at_a_time:
            self._asked = True
            try:
                while await self._look():
                    pass
            finally:
                self._send_home()
        return self._started - before

    async def drain(self) -> None:
        """Scan until nothing is due and everything is settled, what follows from that too."""
        while await self.run() or self._slots.running or not self._completer.complete:
            await self._slots.finished()
            await self._completer.completed()

    async def run_notices(self) -> None:
        """Start the notices that are due. A scan that runs takes them first anyway."""
        if self._one_at_a_time.locked():
            self._stirred.set()
            return
        async with self._one_at_a_time:
            await self._survived(self._claim_notices(self._slots.free))
            self._fill()

    @property
    def trouble(self) -> str:
        """Why the mail server cannot be used just now; empty where it can."""
        return self._breaker.trouble

    def stop(self) -> None:
        """Claim nothing any more."""
        self._stopped = True
        self._stirred.set()

    async def ended(self) -> None:
        """Wait until a scan that was stopped has ended; who still waits for a seat is given back."""
        async with self._one_at_a_time:
            self._send_home()

    async def release_unconfirmed(self) -> None:
        """Give back what may have been claimed by a statement whose answer never came."""
        for token in list(self._doubtful):
            await claims.unclaim(token, self._clock.now())
            self._doubtful.discard(token)

    async def _is_anything_due(self) -> bool:
        """Look around, as once a minute; what is to be sent again or called off is that. False: nothing may leave."""
        self._asked = False
        found = await claims.find_due_work(self._clock.now())
        resent = found.uncertain and self._resends and await uncertain.resend_uncertain(self._clock.now())
        if resent:
            log.warning("sending again what was never answered", **listed(resent))
        if found.unconfirmed and (cancelled := await confirmation.cancel_unconfirmed(self._clock.now())):
            log.info("called off what nobody confirmed", **listed(cancelled))
        return bool(found.scheduled or resent)

    async def _look(self) -> bool:
        """Claim, fill the seats, and wait until more can be done; False: this scan is over."""
        if self._stopped or self._breaker.is_open or not self._clock_check.passes():
            return False
        self._stirred.clear()
        if self._asked and not await self._is_anything_due() and not self._queue:
            return False
        wait = self._wait()  # before we ask: who was left out then may have landed when we hear
        claimed = await self._claim_due()
        self._fill()
        if not claimed and not self._queue and wait is None:
            return False
        if not claimed or not self._queue.wanted():
            await self._stir(inf if wait is None else wait)
        return True

    async def _claim_due(self) -> int:
        """Let those who are due line up, notices first. Returns how many."""
        notices = await self._claim_notices(self._queue.wanted_notices())
        wanted = self._breaker.allowed(self._queue.wanted())
        letters = await self._claim(wanted, notices=False)
        self._queue.add(letters, wanted)
        return notices + len(letters)

    async def _claim_notices(self, limit: int) -> int:
        notices = await self._claim(self._breaker.allowed(limit), notices=True)
        self._queue.add_notices(notices)
        return len(notices)

    def _fill(self) -> None:
        self._slots.fill(len(self._queue), self._board, self._stirred.set)
        for claimed in self._queue.take_rejected():
            self._completer.give_back(claimed)

    def _board(self) -> Coroutine[None, None, None] | None:
        """Return the next flight, or None where nobody may leave."""
        claimed = self._queue.pop() if not self._stopped and self._breaker.allowed(1) else None
        if self._queue.wanted() or (self._slots.free and self._queue):
            self._stirred.set()
        if claimed is None:
            return None
        self._started += 1
        return self._courier.deliver(claimed)

    def _send_home(self) -> None:
        for claimed in self._queue.clear():
            self._completer.give_back(claimed)

    def _wait(self) -> float | None:
        """Return how many seconds to wait for more: inf for a landing, None where nothing is due."""
        return self._queue.wait() if self._breaker.allowed(self._slots.free) else inf

    async def _stir(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == inf else seconds):
                await self._stirred.wait()

    async def _claim(self, limit: int, *, notices: bool) -> list[claims.Claimed]:
        if self._stopped or not limit or not self._clock_check.passes():
            return []
        await self.release_unconfirmed()
        token = uuid4()
        try:
            return await claims.claim(
                self._heartbeat.id,
                token,
                self._clock.now(),
                limit,
                notices=notices,
                closed=self._queue.closed_domains(),
            )
        except BaseException:
            # It may have been written, and only the answer lost: these would have no owner.
            self._doubtful.add(token)
            raise

    async def _survived(self, scan: Awaitable[int]) -> int:
        """Return how many deliveries a scan started; after an error the next one tries again."""
        with self._errors:
            return await scan
        return 0
