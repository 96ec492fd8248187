"""The courier beside sending: held letters, lost claims and cancellation."""

import asyncio
from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from app.domain.status import HeldReason, Occasion, Status
from app.store.claims import Claimed, reclaim
from app.store.models import Delivery, Letter, UndeliverableAddress
from app.store.workers import heartbeats
from tests.delivery.workers import WEEK, Choices, Harness, by_status, firsts, only
from tests.smtp_server import STALL, MailServer, Stage

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


class Gate:
    """A mail server's policy that waits at a stage until the test lets it go on."""

    def __init__(self, server: MailServer, stage: Stage) -> None:
        self.reached = asyncio.Event()
        self._stage = stage
        server.policy = self

    def __call__(self, stage: Stage, _reader: str) -> str:
        if stage != self._stage:
            return ""
        self.reached.set()
        return STALL


# Held, and not even tried


async def test_a_letter_that_does_not_open_is_held(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("minji@x.test", "jun@x.test")
    letter = await Letter.all().order_by("send_at").first()
    assert letter
    await Letter.filter(id=letter.id).update(body_sealed=b"\x01" * 64)
    async with harness.process(server.port) as process:
        await process.deliver()
    unreadable, sent = await firsts()
    assert (unreadable.status, unreadable.held_reason) == (Status.HELD, HeldReason.UNREADABLE)
    assert (unreadable.attempts, sent.status) == (0, Status.SENT)
    assert await by_status() == {"held": 1, "sent": 1, "scheduled": 2}


async def test_what_is_later_than_the_limit_is_held_and_the_rest_goes_out_oldest_first(
    harness: Harness, server: MailServer
) -> None:
    await harness.post("late@x.test")
    harness.clock.advance(2 * DAY)
    readers = [f"reader{number}@x.test" for number in range(5)]
    await harness.post(*readers)
    harness.clock.advance(3 * WEEK - DAY)
    async with harness.process(server.port, Choices(slots=1)) as process:
        await process.deliver()
    late, *others = await firsts()
    assert (late.status, late.held_reason) == (Status.HELD, HeldReason.OVERDUE)
    assert {delivery.status for delivery in others} == {Status.SENT}
    assert [accepted.recipients[0] for accepted in server.accepted] == readers


async def test_a_retry_is_overdue_by_the_date_it_was_put_off_to(sqlite_harness: Harness, server: MailServer) -> None:
    """What an operator sends now, or releases, must not be held again for the promise's sake."""
    await sqlite_harness.post("late@x.test")
    sqlite_harness.clock.advance(5 * WEEK)
    await Delivery.filter(occasion=Occasion.FIRST).update(due_at=sqlite_harness.clock.now())
    async with sqlite_harness.process(server.port) as process:
        await process.deliver()
    assert (await only()).status is Status.SENT


async def test_to_an_address_known_not_to_exist_nothing_is_written(harness: Harness, server: MailServer) -> None:
    await UndeliverableAddress.create(
        address_hmac=harness.cipher.address_hmac("nobody@x.test"), since=harness.clock.now()
    )
    await harness.post_and_wait("nobody+tag@X.test")
    async with harness.process(server.port) as process:
        await process.deliver()
    delivery = await only()
    assert (delivery.status, delivery.held_reason) == (Status.HELD, HeldReason.UNDELIVERABLE)
    assert server.sessions == 0


async def test_a_refused_tag_does_not_block_the_address_without_it(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("rcpt-550-5.1.1+nonsense@x.test")
    async with harness.process(server.port) as process:
        await process.deliver()
    assert (await only()).status is Status.FAILED
    assert not await UndeliverableAddress.exists()


# The claim is lost


async def _relieved(claimed: Claimed) -> None:
    """Reclaim the claims of all workers, as one does that finds them stalled."""
    for worker, beat in (await heartbeats()).items():
        await reclaim(worker, beat, claimed.claimed_at)


async def test_a_claim_lost_before_the_hand_over_is_not_sent(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("minji@x.test")
    async with harness.process(server.port) as process:
        (claimed,) = await process.claim()
        await _relieved(claimed)
        await process.deliver_one(claimed)
        assert server.accepted == []
        assert process.completer.settled == {}
    delivery = await only()
    assert (delivery.status, delivery.attempts) == (Status.SCHEDULED, 0)
    assert await by_status() == {"scheduled": 2}


async def test_a_claim_lost_after_the_hand_over_settles_nothing(harness: Harness, server: MailServer) -> None:
    """The slow courier's reply comes when another worker has settled the delivery as uncertain."""
    await harness.post_and_wait("minji@x.test")
    async with harness.process(server.port, Choices(on_uncertain="hold")) as process:
        (claimed,) = await process.claim()
        server.policy = gate = Gate(server, "body")
        delivering = asyncio.create_task(process.deliver_one(claimed))
        await gate.reached.wait()
        await _relieved(claimed)
        server.die()  # now its answer, or the lack of it, comes in
        await delivering
        assert process.completer.settled == {}
    delivery = await only()
    assert (delivery.status, delivery.attempts, delivery.unanswered) == (Status.UNCERTAIN, 1, 1)
    assert await by_status() == {"uncertain": 1, "scheduled": 1}


async def test_a_slow_courier_cannot_settle_what_another_has_claimed_since(
    harness: Harness, server: MailServer
) -> None:
    await harness.post_and_wait("minji@x.test")
    async with harness.process(server.port, name="slow") as slow:
        (claimed,) = await slow.claim()
        await _relieved(claimed)
        async with harness.process(server.port, name="quick") as quick:
            (again,) = await quick.claim()
            await slow.deliver_one(claimed)
            held = await only()
            assert (held.status, held.claim_token) == (Status.CLAIMED, again.token)
            await quick.deliver_one(again)
    assert len(server.accepted) == 1
    assert (await only()).status is Status.SENT


# Called back


async def test_cancelled_before_the_hand_over_it_is_given_back_uncharged(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("minji@x.test")
    due_at = (await only()).due_at
    gate = Gate(server, "rcpt")
    async with harness.process(server.port) as process:
        await process.dispatcher.run()
        await gate.reached.wait()
        await process.slots.finished(0)
    delivery = await only()
    assert (delivery.status, delivery.attempts, delivery.due_at) == (Status.SCHEDULED, 0, due_at)


async def test_cancelled_after_the_final_dot_it_is_uncertain(harness: Harness, server: MailServer) -> None:
    await harness.post_and_wait("minji@x.test")
    gate = Gate(server, "body")
    async with harness.process(server.port) as process:
        await process.dispatcher.run()
        await gate.reached.wait()
        await process.slots.finished(0)
    delivery = await only()
    assert (delivery.status, delivery.unanswered) == (Status.UNCERTAIN, 1)
    assert await by_status() == {"uncertain": 1, "scheduled": 1}


# A notice about a letter


async def test_a_receipt_shows_the_writer_whom_the_letter_is_for_masked(
    sqlite_harness: Harness, server: MailServer
) -> None:
    await sqlite_harness.post("minji@x.test", sender="jun@writer.test")
    async with sqlite_harness.process(server.port) as process:
        await process.dispatcher.run_notices()
        await process.landed()
    (receipt,) = server.accepted
    assert receipt.recipients == ("jun@writer.test",)
    text = message_from_bytes(receipt.message, policy=policy.default).get_body(("plain",))
    assert text
    assert "m…@x.test" in text.get_content()
    assert "minji" not in text.get_content()
