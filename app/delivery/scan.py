"""The minute's work: claim what is due and start it on its way."""

import asyncio
from typing import Literal
from uuid import UUID, uuid4

import structlog

from app.clock import Clock
from app.delivery.breaker import Breaker
from app.delivery.courier import Courier
from app.delivery.flights import Flights
from app.delivery.membership import Membership
from app.delivery.pace import Pace
from app.store import claims, deliveries

log = structlog.get_logger()


class Scan:
    """Claims as long as anything is due, never more than can start.

    It ends when nothing is due any more, not when everything has landed: a letter that waits ten
    minutes for its answer must not hold up what falls due meanwhile.
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
        self._doubtful: list[UUID] = []

    async def run(self) -> None:
        """Scan once. What is claimed here lands later: see `Flights.all_landed`.

        Shielded: APScheduler cancels its jobs at shutdown, and a claim that was cancelled between
        the database and us would have no owner.
        """
        await asyncio.shield(asyncio.ensure_future(self._run()))

    async def run_notices(self) -> None:
        """Start the notices that are due, unless a scan runs: it takes them first anyway."""
        if not self._one_at_a_time.locked():
            async with self._one_at_a_time:
                await self._start(await self._claim(notices=True, limit=self._seats()))

    def stop(self) -> None:
        """Claim nothing any more."""
        self._stopped = True

    async def _run(self) -> None:
        async with self._one_at_a_time:
            if self._stopped:
                return
            if self._resends and (count := await deliveries.resend_uncertain(self._clock.now())):
                log.warning("sending again what was never answered", deliveries=count)
            while seats := await self._seats_when_free():
                claimed = await self._claim_due(seats)
                if not claimed:
                    return

    async def _claim_due(self, seats: int) -> int:
        """Claim and start notices first, letters with what seats are left. Returns how many."""
        notices = await self._claim(notices=True, limit=seats)
        await self._start(notices)
        letters = await self._claim(notices=False, limit=seats - len(notices))
        await self._start(letters)
        return len(notices) + len(letters)

    def _seats(self) -> int:
        if self._stopped:
            return 0
        return self._pace.seats(self._breaker.seats(self._flights.free))

    async def _seats_when_free(self) -> int:
        """Return how many may be claimed, once that is at least one; 0 where it will not be soon."""
        while not self._stopped and not self._flights.free:
            await self._flights.next_landing()
        return self._seats()

    async def _claim(self, *, notices: bool, limit: int) -> list[claims.Claimed]:
        if limit < 1:
            return []
        await self._free_doubtful()
        token = uuid4()
        try:
            return await claims.claim(
                self._membership.id, token, self._clock.now(), limit, notices=notices, closed=self._pace.closed()
            )
        except BaseException:
            # It may have been written, and only the answer lost: these would have no owner.
            self._doubtful.append(token)
            raise

    async def _free_doubtful(self) -> None:
        while self._doubtful:
            await claims.unclaim(self._doubtful[0], self._clock.now())
            self._doubtful.pop(0)

    async def _start(self, claimed: list[claims.Claimed]) -> None:
        for one in claimed:
            self._flights.start(self._courier.carry(one))
        await asyncio.sleep(0)  # a kind neighbour: pages of this process are answered between claims
