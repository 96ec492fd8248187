"""What is claimed, in which order, and what a scan waits for."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

import pytest

from app.delivery import ready_queue
from app.domain.status import Occasion, Status
from app.store import claims
from app.store.models import Delivery, UndeliverableAddress
from tests.delivery.workers import Choices, Harness, by_status, firsts, last_attempt, only
from tests.smtp_server import STALL, MailServer, Stage

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)


class Stalling:
    """A policy: letters to one domain get no answer at one stage, and are counted."""

    def __init__(self, domain: str, stage: Stage = "rcpt") -> None:
        self._ending = f"@{domain}"
        self._stage = stage
        self.begun = asyncio.Event()
        self.letters = 0

    def __call__(self, stage: Stage, reader: str) -> str:
        if stage != self._stage or not reader.endswith(self._ending):
            return ""
        self.letters += 1
        self.begun.set()
        return STALL


def _arrived(server: MailServer) -> list[str]:
    return [accepted.recipients[0] for accepted in server.accepted]


async def test_everything_due_leaves_oldest_first_and_nothing_else(harness: Harness, server: MailServer) -> None:
    readers = [f"reader{number}@x.test" for number in range(8)]
    await harness.post_and_wait(*readers)
    await harness.post("tomorrow@x.test")
    async with harness.process(server.port, Choices(slots=1)) as process:
        await process.deliver()
    assert _arrived(server) == readers
    assert await by_status() == {"sent": 8, "scheduled": 10}


async def test_one_scan_sends_all_to_a_domain_that_it_meets_for_the_first_time(
    harness: Harness, server: MailServer
) -> None:
    readers = [f"reader{number}@new.test" for number in range(40)]
    await harness.post_and_wait(*readers)
    async with harness.process(server.port) as process:
        await process.dispatcher.run()
        await process.landed()
        assert process.completer.settled == {Status.SENT: 40}
    assert Counter(_arrived(server)) == Counter(readers)


async def test_the_queue_doubles_when_it_ran_empty_up_to_its_limit(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.post_and_wait(*(f"reader@x{number}.test" for number in range(60)))
    claim, asked = claims.claim, list[int]()

    async def slow(*args: object, notices: bool, **options: object) -> list[claims.Claimed]:
        if not notices:
            await process.slots.finished()
            asked.append(cast("int", args[3]))
        return await claim(*args, notices=notices, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(claims, "claim", slow)
    monkeypatch.setattr(ready_queue, "_MAX_LENGTH", 12)
    async with harness.process(server.port, Choices(slots=3)) as process:
        await process.deliver()
    assert asked[:2] == [3, 3]
    assert 6 < max(asked) <= 12
    assert server.most_at_once <= 3
    assert len(server.accepted) == 60


async def test_notices_leave_before_letters(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("minji@x.test", "jun@x.test")
    await harness.post("later@x.test", sender="writer@y.test")
    async with harness.process(server.port, Choices(slots=1)) as process:
        await process.deliver()
    assert _arrived(server) == ["writer@y.test", "minji@x.test", "jun@x.test"]


async def test_notices_alone_leave_at_once_while_letters_wait_for_the_scan(
    harness: Harness, server: MailServer
) -> None:
    await harness.post_and_wait("minji@x.test", sender="writer@y.test")
    async with harness.process(server.port) as process:
        await process.dispatcher.run_notices()
        await process.landed()
        assert _arrived(server) == ["writer@y.test"]


async def test_a_stuck_letter_holds_up_neither_this_scan_nor_the_next(harness: Harness, server: MailServer) -> None:
    server.policy = policy = Stalling("stuck.test")
    await harness.post_and_wait("a@stuck.test", "minji@x.test")
    async with harness.process(server.port) as process:
        await asyncio.wait_for(process.dispatcher.run(), 60)
        await policy.begun.wait()
        await harness.post_and_wait("jun@x.test")
        await asyncio.wait_for(process.dispatcher.run(), 60)
        await server.has_accepted(2)
        assert process.slots.free <= 9
    assert _arrived(server) == ["minji@x.test", "jun@x.test"]


async def test_a_slow_domain_takes_a_quarter_of_the_connections_and_starves_no_other(
    harness: Harness, server: MailServer
) -> None:
    """Fifty letters to it are due before all others; it gets two of eight connections."""
    server.policy = policy = Stalling("slow.test")
    await harness.post_and_wait(
        *(f"r{number}@slow.test" for number in range(50)), *(f"r{number}@x.test" for number in range(30))
    )
    async with harness.process(server.port, Choices(slots=8)) as process:
        process.dispatcher.start()  # it waits for the slow ones to end, and for nothing else
        await server.has_accepted(30)
        assert policy.letters == 2
        # What falls due meanwhile is found by the next minute's call.
        await harness.post_and_wait("late@x.test")
        process.dispatcher.start()
        await server.has_accepted(31)
        assert policy.letters == 2
    assert all(reader.endswith("@x.test") for reader in _arrived(server))


async def test_a_thousand_undeliverable_addresses_ahead_starve_no_other(
    sqlite_harness: Harness, server: MailServer
) -> None:
    dead = [f"dead{number}@gone{number % 7}.test" for number in range(1000)]
    await sqlite_harness.post_and_wait(*dead, "minji@x.test")
    await UndeliverableAddress.bulk_create(
        UndeliverableAddress(address_hmac=sqlite_harness.cipher.address_hmac(address), since=sqlite_harness.clock.now())
        for address in dead[:900]
    )
    server.policy = lambda stage, reader: "550 5.1.1 no such user" if stage == "rcpt" and "gone" in reader else ""
    async with sqlite_harness.process(server.port) as process:
        await process.deliver()
    assert _arrived(server) == ["minji@x.test"]
    assert await by_status() == {"held": 1000, "failed": 100, "sent": 1, "scheduled": 901}


async def test_a_closed_domain_is_not_claimed(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("a@resting.test", "b@x.test")
    async with harness.process(server.port) as process:
        process.rate_limiter.pause(harness.cipher.domain_hmac("a@resting.test"))
        await process.deliver()
        assert _arrived(server) == ["b@x.test"]
        resting = (await firsts())[0]
        assert (resting.status, resting.status_at) == (Status.SCHEDULED, resting.promised_at - timedelta(days=7))
        harness.clock.advance(timedelta(minutes=5))
        await process.deliver()
    assert _arrived(server) == ["b@x.test", "a@resting.test"]


async def test_the_rate_over_all_is_kept_and_reached_within_one_scan(
    sqlite_harness: Harness, server: MailServer
) -> None:
    await sqlite_harness.post_and_wait(*(f"r@x{number}.test" for number in range(6)))
    began = sqlite_harness.clock.now()
    async with sqlite_harness.process(server.port, Choices(rate=60)) as process:
        process.dispatcher.start()
        for number in range(1, 7):
            await server.has_accepted(number)
            sqlite_harness.clock.advance(SECOND)
            process.dispatcher.start()  # wakes it, as its own alarm would on a clock that moves by itself
    handed_over = [(await last_attempt(delivery)).handed_over_at for delivery in await firsts()]
    assert [moment and (moment - began) // SECOND for moment in handed_over] == [0, 1, 2, 3, 4, 5]


async def test_the_rate_per_domain_holds_up_no_other_domain(sqlite_harness: Harness, server: MailServer) -> None:
    await sqlite_harness.post_and_wait("a1@a.test", "a2@a.test", "a3@a.test", "b1@b.test")
    async with sqlite_harness.process(server.port, Choices(rate_per_domain=60)) as process:
        process.dispatcher.start()
        await server.has_accepted(2)
        assert sorted(_arrived(server)) == ["a1@a.test", "b1@b.test"]
        for _ in range(2):
            sqlite_harness.clock.advance(SECOND)
            process.dispatcher.start()
            await server.has_accepted(len(server.accepted) + 1)
    assert [reader for reader in _arrived(server) if "@a" in reader] == ["a1@a.test", "a2@a.test", "a3@a.test"]


async def test_what_was_never_answered_is_sent_again_with_the_same_message_id(
    harness: Harness, server: MailServer
) -> None:
    await harness.post_and_wait("body-drop@x.test")
    async with harness.process(server.port) as process:
        await process.deliver()
        assert (await only()).status is Status.UNCERTAIN
        server.policy = lambda _stage, _reader: ""
        harness.clock.advance(timedelta(minutes=5))
        await process.deliver()
    first, again = server.accepted
    message_id = (await only()).message_id
    assert message_id.encode() in first.message
    assert message_id.encode() in again.message
    delivery = await only()
    assert (delivery.status, delivery.attempts, delivery.unanswered) == (Status.SENT, 2, 1)
    assert await by_status() == {"sent": 1, "scheduled": 1}


async def test_uncertain_deliveries_wait_where_the_operator_set_hold(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("body-drop@x.test")
    async with harness.process(server.port, Choices(on_uncertain="hold")) as process:
        for _ in range(3):
            await process.deliver()
            harness.clock.advance(timedelta(days=2))
    assert len(server.accepted) == 1
    assert await by_status() == {"uncertain": 1, "scheduled": 1}


async def test_paused_nothing_leaves(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("minji@x.test", sender="writer@y.test")
    async with harness.process(server.port, Choices(paused=True)) as process:
        await process.deliver()
        await process.dispatcher.run_notices()
        process.dispatcher.start()
        await process.dispatcher.ended()
    assert server.sessions == 0
    assert await by_status() == {"scheduled": 3}


# Claims whose answer never came


async def test_a_claim_whose_answer_is_lost_leaves_nothing_claimed(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.post_and_wait("minji@x.test")
    async with harness.process(server.port) as process:
        with monkeypatch.context() as patch:
            patch.setattr(claims, "claim", _losing_its_answer(claims.claim))
            with pytest.raises(ConnectionError):
                await process.dispatcher.run()
        assert await Delivery.filter(status=Status.CLAIMED).count() == 1
        await process.worker.tick()
        assert await Delivery.filter(status=Status.CLAIMED).count() == 0
        await process.deliver()
    assert len(server.accepted) == 1


def _losing_its_answer(claim: Callable[..., Awaitable[list[claims.Claimed]]]) -> Callable[..., Awaitable[object]]:
    async def lost(*args: object, notices: bool, **options: object) -> list[claims.Claimed]:
        claimed = await claim(*args, notices=notices, **options)
        if not notices:
            raise ConnectionError("the connection was cut")
        return claimed

    return lost


async def test_a_scan_called_off_in_the_middle_of_its_claim_leaves_nothing_claimed(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.post_and_wait("minji@x.test")
    claim, begun = claims.claim, asyncio.Event()

    async def slow(*args: object, notices: bool, **options: object) -> list[claims.Claimed]:
        claimed = await claim(*args, notices=notices, **options)  # type: ignore[arg-type]
        if not notices:
            begun.set()
            await asyncio.Event().wait()
        return claimed

    async with harness.process(server.port) as process:
        monkeypatch.setattr(claims, "claim", slow)
        scan = asyncio.create_task(process.dispatcher.run())
        await begun.wait()
        scan.cancel()
        await asyncio.wait([scan])
        await process.dispatcher.release_unconfirmed()
    assert await by_status() == {"scheduled": 2}
    assert (await Delivery.get(occasion=Occasion.FIRST)).attempts == 0


async def test_a_stop_in_the_middle_of_a_claim_gives_it_back(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.post_and_wait("minji@x.test")
    claim = claims.claim
    async with harness.process(server.port) as process:

        async def stopped_meanwhile(*args: object, **options: object) -> list[claims.Claimed]:
            claimed = await claim(*args, **options)  # type: ignore[arg-type]
            if claimed:
                process.dispatcher.stop()
            return claimed

        monkeypatch.setattr(claims, "claim", stopped_meanwhile)
        await process.deliver()
    assert server.sessions == 0
    assert await by_status() == {"scheduled": 2}
