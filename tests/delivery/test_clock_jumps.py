"""A wall clock that is set forward or back by hours, at any moment: nothing twice, nothing lost; on both databases."""

import inspect
import random
from collections import Counter
from datetime import timedelta
from types import ModuleType

import pytest

from app.delivery import breaker, rate_limit, ready_queue
from app.domain.status import Status
from app.mail.smtp import connection, pool, window
from app.store import claims
from app.store.models import Delivery, Worker
from tests.clock import FrozenClock
from tests.delivery.workers import LEASE, Choices, Harness, by_status, firsts
from tests.sending import TAKEN
from tests.smtp_server import MailServer, Stage

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
FAR = 5
LONELY = Choices(leads=False, on_uncertain="hold")
each_way = pytest.mark.parametrize("hours", [FAR, -FAR], ids=["forward", "back"])


class Restless:
    """A mail server's policy: whenever it is asked anything, the clock is some hours off, this way or that."""

    def __init__(self, clock: FrozenClock) -> None:
        self._clock = clock
        self._chance = random.Random(1)
        self._off = 0

    def __call__(self, _stage: Stage, _reader: str) -> str:
        self.set(self._chance.randint(-FAR, FAR))
        return ""

    def set(self, hours: int) -> None:
        """Let the clock be so many hours ahead of the truth."""
        self._clock.jump((hours - self._off) * HOUR)
        self._off = hours


def _arrived(server: MailServer) -> Counter[str]:
    return Counter(accepted.recipients[0] for accepted in server.accepted)


async def test_in_the_middle_of_a_scan(harness: Harness, server: MailServer) -> None:
    """It jumps between claim, hand-over, answer and settle of sixty letters, four on their way at a time."""
    due, tomorrow = ([f"{when}{number}@x{number % 7}.test" for number in range(60)] for when in ("due", "tomorrow"))
    await harness.post(*due)
    harness.clock.advance(timedelta(days=1))
    await harness.post(*tomorrow)
    harness.clock.advance(timedelta(days=6, hours=12))
    server.policy = restless = Restless(harness.clock)
    async with harness.process(server.port, Choices(slots=4, rate=100_000)) as process:
        for off in (0, -FAR, FAR, 0):
            restless.set(off)
            await process.deliver()
            harness.clock.advance(timedelta(minutes=1))
        assert process.rate_limiter.wait() is None
    assert _arrived(server) == Counter(due)
    assert {(delivery.status, delivery.attempts) for delivery in (await firsts())[:60]} == {(Status.SENT, 1)}
    assert await by_status() == {"sent": 60, "scheduled": 180}


@each_way
async def test_what_was_put_off_and_what_is_in_doubt_goes_out_once_more(
    harness: Harness, server: MailServer, hours: int
) -> None:
    await harness.post_and_wait("rcpt-450@x.test", "body-drop@y.test")
    async with harness.process(server.port) as process:
        await process.deliver()
        server.policy = lambda _stage, _reader: ""
        harness.clock.jump(hours * HOUR)
        await process.deliver()
        if hours < 0:  # it waits until it is that time again
            assert len(server.accepted) == 1
            harness.clock.advance(-hours * HOUR + timedelta(minutes=5))
            await process.deliver()
        harness.clock.jump(-hours * HOUR)
        await process.deliver()
    assert _arrived(server) == {"rcpt-450@x.test": 1, "body-drop@y.test": 2}
    assert [delivery.unanswered for delivery in await firsts()] == [0, 1]
    assert await by_status() == {"sent": 2, "scheduled": 2}


@each_way
async def test_no_worker_is_recovered_and_claims_stay(harness: Harness, server: MailServer, hours: int) -> None:
    await harness.post_and_wait("minji@x.test")
    async with (
        harness.process(server.port, LONELY, name="one") as one,
        harness.process(server.port, LONELY, name="other") as other,
    ):
        (claimed,) = await one.claim()
        for _ in range(40):
            harness.clock.jump(hours * HOUR)
            await one.beat()
            await other.beat()
            harness.clock.jump(-hours * HOUR)
            harness.clock.advance(LEASE / 15)
        assert (await Delivery.get(id=claimed.id)).claim_token == claimed.token
        assert await Worker.all().count() == 2
        harness.clock.jump(hours * HOUR)
        await one.deliver_one(claimed)
    assert len(server.accepted) == 1
    assert await by_status() == {"sent": 1, "scheduled": 1}


@each_way
async def test_the_journal_of_a_killed_process_is_applied(harness: Harness, server: MailServer, hours: int) -> None:
    await harness.post_and_wait("answered@x.test", "begun@x.test", "untouched@x.test")
    async with harness.process(server.port, LONELY, name="dead") as dead:
        claimed = await dead.claim(3)
        await claims.hand_over(claimed, harness.clock.now())
        for one in claimed[:2]:
            dead.journal.begin((one.id, one.token))
        harness.clock.jump(hours * HOUR)
        dead.journal.answered((claimed[0].id, claimed[0].token), harness.clock.now(), TAKEN)
        dead.journal.close(delete=False)
    harness.clock.jump(-2 * hours * HOUR)
    async with harness.process(server.port, LONELY) as heir:
        for _ in range(20):
            await heir.beat()
            harness.clock.advance(LEASE / 15)
    statuses = [delivery.status for delivery in await firsts()]
    assert statuses == [Status.SENT, Status.UNCERTAIN, Status.SCHEDULED]
    assert server.accepted == []
    await by_status()


@pytest.mark.parametrize(
    "module", [breaker, ready_queue, rate_limit, window, connection, pool], ids=lambda module: module.__name__
)
def test_what_waits_does_not_look_at_the_wall(module: ModuleType) -> None:
    source = inspect.getsource(module)
    assert ".now()" not in source
    assert "monotonic()" in source or "loop.time()" in source
