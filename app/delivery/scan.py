"""The minute's work: claim what is due and start it on its way."""

import asyncio
import contextlib
from collections.abc import Awaitable
from math import inf
from typing import Literal
from uuid import UUID, uuid4

import structlog

from app.clock import Clock
from app.delivery.breaker import Breaker
from app.delivery.courier import Courier
from app.delivery.flights import Flights
from app.delivery.membership import Membership
from app.delivery.pace import Pace
from app.store import claims, confirming, deliveries
from app.store.database import is_unavailable

log = structlog.get_logger()


class Scan:
    """Claims as long as anything is due that may leave, never more than can start.

    It waits for a free seat and for the rates, not for the last landing: a letter that is stuck
    for ten minutes holds up nothing but its own domain.
    """

    def __init__(
        self,
        *,
        courier: Courier,
        flights: Flights,
        breaker: Breaker,
        pace: Pace,
        membership: Membership,
        clock: Clock,
        on_uncertain: Literal["resend", "hold"],
        paused: bool,
    ) -> None:
        self._courier = courier
        self._flights = flights
        self._breaker = breaker
        self._pace = pace
        self._membership = membership
        self._clock = clock
        self._resends = on_uncertain == "resend"
        self._stopped = paused
        self._one_at_a_time = asyncio.Lock()
        self._background: asyncio.Task[int] | None = None
        self._stirred = asyncio.Event()  # something changed: a landing, a new minute, the end
        self._asked = False
        self._doubtful: set[UUID] = set()

    def start(self) -> "asyncio.Task[int]":
        """Scan in the background and return that; a scan that runs already looks again at what is due.

        The background is ours: what runs in APScheduler's own is cancelled at its shutdown.
        """
        self._asked = True
        self._stirred.set()
        if self._background is None or self._background.done():
            self._background = asyncio.create_task(_logged(self.run()))
        return self._background

    async def run(self) -> int:
        """Scan until nothing is due that may leave, and return how many were started.

        They land later. Raises what the database raises. During an outage of the mail server it
        ends at once.
        """
        started = 0
        async with self._one_at_a_time:
            self._asked = True
            while not self._stopped and not self._breaker.is_open:
                self._stirred.clear()
                await self._resend_if_asked()
                wait = self._wait()  # before we ask: who was left out then may have landed when we hear
                if count := await self._start_due():
                    started += count
                elif wait is None:
                    break
                else:
                    await self._stir(wait)
        return started

    async def drain(self) -> None:
        """Scan until nothing is due and everything has landed, what follows from a landing too."""
        while await self.run() or self._flights.aloft:
            await self._flights.all_landed()

    async def run_notices(self) -> None:
        """Start the notices that are due. A scan that runs takes them first anyway."""
        if self._one_at_a_time.locked():
            self._stirred.set()
            return
        async with self._one_at_a_time:
            await _logged(self._claim_and_start(notices=True))

    @property
    def trouble(self) -> str:
        """Why the mail server cannot be used just now; empty where it can."""
        return self._breaker.trouble

    def stop(self) -> None:
        """Claim nothing any more."""
        self._stopped = True
        self._stirred.set()

    async def ended(self) -> None:
        """Wait until a scan that was stopped has started its last delivery."""
        async with self._one_at_a_time:
            pass

    async def free_doubtful(self) -> None:
        """Give back what may have been claimed by a statement whose answer never came."""
        for token in list(self._doubtful):
            await claims.unclaim(token, self._clock.now())
            self._doubtful.discard(token)

    async def _resend_if_asked(self) -> None:
        if self._asked and self._resends and (count := await deliveries.resend_uncertain(self._clock.now())):
            log.warning("sending again what was never answered", deliveries=count)
        if self._asked and (count := await confirming.cancel_unconfirmed(self._clock.now())):
            log.info("called off what nobody confirmed", deliveries=count)
        self._asked = False

    async def _start_due(self) -> int:
        """Claim and start notices first, letters with what seats are left. Returns how many."""
        notices = await self._claim_and_start(notices=True)
        return notices + await self._claim_and_start(notices=False)

    def _seats(self) -> int:
        return 0 if self._stopped else self._pace.seats(self._breaker.seats(self._flights.free))

    def _wait(self) -> float | None:
        """Return how many seconds to wait for more: inf for a landing, None where nothing is due."""
        return self._pace.wait() if self._breaker.seats(self._flights.free) else inf

    async def _stir(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == inf else seconds):
                await self._stirred.wait()

    async def _claim_and_start(self, *, notices: bool) -> int:
        seats = self._seats()
        claimed = await self._claim(notices=notices, limit=seats) if seats else []
        for one in claimed:
            self._flights.start(self._courier.carry(one), self._stirred.set)
        await asyncio.sleep(0)  # they take their seats in `Pace`, and pages of this process are answered
        return len(claimed)

    async def _claim(self, *, notices: bool, limit: int) -> list[claims.Claimed]:
        await self.free_doubtful()
        token = uuid4()
        try:
            claimed = await claims.claim(
                self._membership.id, token, self._clock.now(), limit, notices=notices, closed=self._pace.closed()
            )
        except BaseException:
            # It may have been written, and only the answer lost: these would have no owner.
            self._doubtful.add(token)
            raise
        if self._stopped:
            self._doubtful.add(token)
            await self.free_doubtful()
            return []
        return claimed


async def _logged(scan: Awaitable[int]) -> int:
    """Await a scan that nobody waits for, and return how many it started; the next one tries again."""
    try:
        return await scan
    except Exception as error:
        if is_unavailable(error):
            log.warning("the database is away; the next scan tries again", error=type(error).__name__)
        else:
            log.exception("a scan failed in an unforeseen way")
    return 0
