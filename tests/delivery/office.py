"""The parts of one delivering process, put together as `app.wiring` does, with a clock that stands still."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from app.delivery.ahead import Ahead
from app.delivery.answers import Answers
from app.delivery.breaker import Breaker
from app.delivery.courier import Courier
from app.delivery.flights import Flights
from app.delivery.leadership import Leadership
from app.delivery.line import Line
from app.delivery.membership import Membership
from app.delivery.pace import Pace
from app.delivery.packing import Packer
from app.delivery.records import Records
from app.delivery.relief import Relief
from app.delivery.rounds import Rounds
from app.delivery.scan import Scan
from app.delivery.scheduler import Scheduler
from app.delivery.station import Station
from app.delivery.verdict import Judge
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import Occasion
from app.mail.compose import Composer
from app.mail.envelope import Transport
from app.store import claims
from app.store.audit import audit
from app.store.claims import Claimed
from app.store.database import transaction
from app.store.letters import Letters
from app.store.models import Attempt, Delivery
from app.store.vault import Vault
from tests.clock import FrozenClock
from tests.sending import transport_to

WEEK = timedelta(days=7)
MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=30)
ORIGIN = "https://letters.test"
DOMAIN = "letters.test"


@dataclass
class Choices:
    """What an operator may set, as far as delivering goes."""

    seats: int = 10
    rate: int | None = None
    rate_per_domain: int | None = None
    on_uncertain: Literal["resend", "hold"] = "resend"
    paused: bool = False
    leads: bool = True
    grace: float = 30.0
    catch_up_limit: timedelta = timedelta(days=14)
    lease: timedelta = LEASE
    answers_dir: Path = Path("var/answers")  # of the test's own folder


class Office:
    """One process: its parts are there for a test to look at."""

    def __init__(self, vault: Vault, transport: Transport, clock: FrozenClock, choices: Choices, name: str) -> None:
        packer = Packer(vault, Composer(f"Slow <letters@{DOMAIN}>", "", ORIGIN, "", ""), ORIGIN, DOMAIN)
        self.clock = clock
        self.flights = Flights(choices.seats)
        self.breaker = Breaker(clock, lambda: 0.5)
        self.pace = Pace(clock, choices.seats, choices.rate, choices.rate_per_domain)
        judge = Judge(packer, self.breaker, self.pace, lambda: 0.5)
        self.answers = Answers(choices.answers_dir)
        relief = Relief(choices.answers_dir, judge, clock)
        self.membership = Membership(name, choices.lease, clock, self.answers, relief)
        self.records = Records(self.membership, self.answers, clock)
        line = Line(self.pace, clock, choices.seats)
        self.courier = Courier(
            ahead=Ahead(packer, line.upcoming),
            transport=transport,
            judge=judge,
            records=self.records,
            breaker=self.breaker,
            pace=self.pace,
            clock=clock,
            catch_up_limit=choices.catch_up_limit,
        )
        self.scan = Scan(
            courier=self.courier,
            records=self.records,
            flights=self.flights,
            line=line,
            breaker=self.breaker,
            membership=self.membership,
            clock=clock,
            on_uncertain=choices.on_uncertain,
        )
        if choices.paused:
            self.scan.stop()
        self._lead(choices, name)

    def _lead(self, choices: Choices, name: str) -> None:
        self.scheduler = Scheduler(Rounds(self.scan.start, MINUTE, self.clock, name), MINUTE, self.clock, name)
        self.leadership = Leadership(self.membership, self.scheduler, choices.lease, self.clock)
        self.station = Station(
            membership=self.membership,
            leadership=self.leadership if choices.leads else None,
            scan=self.scan,
            flights=self.flights,
            records=self.records,
            lease=choices.lease,
            scan_interval=MINUTE,
            grace=choices.grace,
        )

    async def deliver(self) -> None:
        """Scan until nothing is due, and wait until everything has landed."""
        await self.scan.drain()

    async def landed(self) -> None:
        """Wait until nothing is in flight, and everything is settled."""
        await self.flights.all_landed()
        await self.records.completed()

    async def carry(self, claimed: Claimed) -> None:
        """Carry one claim, and wait until its end is on record."""
        await self.courier.carry(claimed)
        await self.records.completed()

    async def claim(self, limit: int = 1) -> list[Claimed]:
        """Claim letters without starting them, as a scan does in its middle."""
        return await claims.claim(self.membership.id, uuid4(), self.clock.now(), limit, notices=False)


class Town:
    """A connected database, with letters to post and offices to open."""

    def __init__(self, vault: Vault, clock: FrozenClock) -> None:
        self.vault = vault
        self.clock = clock
        self.letters = Letters(vault, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain=DOMAIN)

    async def post(self, *readers: str, sender: str = "", body: str = "Hello.") -> None:
        """Post a letter to each reader, to be due in a week, in this order."""
        async with transaction():
            for reader in readers:
                await self.letters.post(Draft(recipient_email=reader, body=body, sender_email=sender), self.clock.now())
                self.clock.advance(timedelta(milliseconds=1))

    async def post_and_wait(self, *readers: str, sender: str = "") -> None:
        """The same, and let a week pass."""
        await self.post(*readers, sender=sender)
        self.clock.advance(WEEK)

    @asynccontextmanager
    async def unentered(
        self, port: int, choices: Choices | None = None, *, name: str = "office", **way: Any
    ) -> AsyncIterator[Office]:
        """Open an office beside a mail server, for a test to enter its station; `way`: see `transport_to`."""
        choices = choices or Choices()
        async with transport_to(port, connections=choices.seats, clock=self.clock, **way) as transport:
            yield Office(self.vault, transport, self.clock, choices, name)

    @asynccontextmanager
    async def office(
        self, port: int, choices: Choices | None = None, *, name: str = "office", **way: Any
    ) -> AsyncIterator[Office]:
        """Open one that is a worker, and neither beats nor scans by itself."""
        async with self.unentered(port, choices, name=name, **way) as office:
            await office.membership.join()
            try:
                yield office
            finally:
                office.scheduler.stop()
                office.scan.stop()
                await office.scan.ended()
                await office.flights.all_landed(0)
                await office.records.completed(60)


async def firsts() -> Sequence[Delivery]:
    """Return the first deliveries of all letters, in the order they were posted."""
    return await Delivery.filter(occasion=Occasion.FIRST).order_by("promised_at", "id")


async def only() -> Delivery:
    """Return the first delivery of the only letter."""
    (delivery,) = await firsts()
    return delivery


async def last_attempt(delivery: Delivery) -> Attempt:
    return (await Attempt.filter(delivery_id=delivery.id).order_by("id"))[-1]


async def by_status() -> dict[str, int]:
    """Return how many deliveries there are in each state, of a ledger that adds up."""
    ledger = await audit()
    assert ledger.adds_up, ledger
    return {status: count for status, count in ledger.by_status.items() if count}
