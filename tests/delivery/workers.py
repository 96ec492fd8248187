"""The parts of one delivering process, put together as `app.wiring` does, with a frozen clock."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from app.delivery.breaker import Breaker
from app.delivery.completer import Completer
from app.delivery.courier import Courier
from app.delivery.dispatcher import DeliverySlots, Dispatcher
from app.delivery.heartbeat import Heartbeat
from app.delivery.journal import Journal
from app.delivery.leadership import Leadership
from app.delivery.outcome import OutcomePolicy
from app.delivery.packing import BatchPacker, Packer
from app.delivery.rate_limit import RateLimiter
from app.delivery.ready_queue import ReadyQueue
from app.delivery.recovery import Recovery
from app.delivery.scheduler import ScanRecorder, Scheduler
from app.delivery.worker import Worker
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import Occasion
from app.mail.compose import Composer
from app.mail.envelope import Transport
from app.store import claims
from app.store.audit import audit
from app.store.cipher import LetterCipher
from app.store.claims import Claimed
from app.store.database import transaction
from app.store.letters import Letters
from app.store.models import Attempt, Delivery
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

    slots: int = 10
    rate: int | None = None
    rate_per_domain: int | None = None
    on_uncertain: Literal["resend", "hold"] = "resend"
    paused: bool = False
    leads: bool = True
    grace: float = 30.0
    max_lateness: timedelta = timedelta(days=14)
    lease: timedelta = LEASE
    journal_dir: Path = Path("var/journal")  # of the test's own folder


class Process:
    """One process, whose parts a test can inspect."""

    def __init__(
        self, cipher: LetterCipher, transport: Transport, clock: FrozenClock, choices: Choices, name: str
    ) -> None:
        packer = Packer(cipher, Composer(f"Slow <letters@{DOMAIN}>", "", ORIGIN, "", ""), ORIGIN, DOMAIN)
        self.clock = clock
        self.slots = DeliverySlots(choices.slots)
        self.breaker = Breaker(clock, lambda: 0.5)
        self.rate_limiter = RateLimiter(clock, choices.slots, choices.rate, choices.rate_per_domain)
        policy = OutcomePolicy(packer, self.breaker, self.rate_limiter, lambda: 0.5)
        self.journal = Journal(choices.journal_dir)
        recovery = Recovery(choices.journal_dir, policy, clock)
        self.heartbeat = Heartbeat(name, choices.lease, clock, self.journal, recovery)
        self.completer = Completer(self.heartbeat, self.journal, clock)
        queue = ReadyQueue(self.rate_limiter, clock, choices.slots)
        self.courier = Courier(
            packer=BatchPacker(packer, queue.upcoming),
            transport=transport,
            policy=policy,
            completer=self.completer,
            breaker=self.breaker,
            rate_limiter=self.rate_limiter,
            clock=clock,
            max_lateness=choices.max_lateness,
        )
        self.dispatcher = Dispatcher(
            courier=self.courier,
            completer=self.completer,
            slots=self.slots,
            queue=queue,
            breaker=self.breaker,
            heartbeat=self.heartbeat,
            clock=clock,
            on_uncertain=choices.on_uncertain,
        )
        if choices.paused:
            self.dispatcher.stop()
        self._lead(choices, name)

    def _lead(self, choices: Choices, name: str) -> None:
        self.scheduler = Scheduler(
            ScanRecorder(self.dispatcher.start, MINUTE, self.clock, name), MINUTE, self.clock, name
        )
        self.leadership = Leadership(self.heartbeat, self.scheduler, choices.lease, self.clock)
        self.worker = Worker(
            heartbeat=self.heartbeat,
            leadership=self.leadership if choices.leads else None,
            dispatcher=self.dispatcher,
            slots=self.slots,
            completer=self.completer,
            lease=choices.lease,
            scan_interval=MINUTE,
            grace=choices.grace,
        )

    async def beat(self) -> None:
        """Send a heartbeat, and recover stalled workers."""
        await self.heartbeat.beat()
        await self.heartbeat.recover_stalled()

    async def deliver(self) -> None:
        """Scan until nothing is due, and wait until everything has ended."""
        await self.dispatcher.drain()

    async def landed(self) -> None:
        """Wait until nothing is in delivering, and everything is settled."""
        await self.slots.finished()
        await self.completer.completed()

    async def deliver_one(self, claimed: Claimed) -> None:
        """Deliver one claim, and wait until its outcome is recorded."""
        await self.courier.deliver(claimed)
        await self.completer.completed()

    async def claim(self, limit: int = 1) -> list[Claimed]:
        """Claim letters without starting them, as a scan does."""
        return await claims.claim(self.heartbeat.id, uuid4(), self.clock.now(), limit, notices=False)


class Harness:
    """A connected database, with letters to post and processes to start."""

    def __init__(self, cipher: LetterCipher, clock: FrozenClock) -> None:
        self.cipher = cipher
        self.clock = clock
        self.letters = Letters(cipher, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain=DOMAIN)

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
    async def unregistered(
        self, port: int, choices: Choices | None = None, *, name: str = "one", **way: Any
    ) -> AsyncIterator[Process]:
        """Build a process that uses a mail server, for a test to enter its worker; `way`: see `transport_to`."""
        choices = choices or Choices()
        async with transport_to(port, connections=choices.slots, clock=self.clock, **way) as transport:
            yield Process(self.cipher, transport, self.clock, choices, name)

    @asynccontextmanager
    async def process(
        self, port: int, choices: Choices | None = None, *, name: str = "one", **way: Any
    ) -> AsyncIterator[Process]:
        """Build one that is registered, and sends heartbeats and scans only when a test calls it."""
        async with self.unregistered(port, choices, name=name, **way) as process:
            await process.heartbeat.join()
            try:
                yield process
            finally:
                process.scheduler.stop()
                process.dispatcher.stop()
                await process.dispatcher.ended()
                await process.slots.finished(0)
                await process.completer.completed(60)


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
