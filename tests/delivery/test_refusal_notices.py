"""Notices of a refusal to the letter's writer: one for each address, with a link to correct it."""

from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from app.crypto import Cipher
from app.domain.status import HeldReason, Occasion, Status
from app.store.address_change import Corrections
from app.store.cipher import open_cipher
from app.store.confirmation import Confirmations
from app.store.models import Delivery, Letter, UndeliverableAddress
from app.store.operator_actions import release, requeue
from tests.delivery.workers import DOMAIN, ORIGIN, Choices, Harness, by_status, only
from tests.smtp_server import Accepted, MailServer

pytestmark = pytest.mark.anyio

WRITER = "jun@writer.test"
GONE, ALSO_GONE = "rcpt-550-5.1.1@x.test", "rcpt-550-5.1.2@x.test"
KNOWN = "known@x.test"
MINUTE = timedelta(minutes=1)


async def _post(harness: Harness, reader: str) -> None:
    """Post a letter that is due, and take its receipt out of the way."""
    await harness.post_and_wait(reader, sender=WRITER)
    await Delivery.filter(occasion=Occasion.RECEIPT).update(due_at=harness.clock.now() + timedelta(days=1000))


async def _correct(harness: Harness, address: str) -> None:
    corrections = Corrections(harness.cipher, None, Confirmations(harness.cipher, DOMAIN), confirmed=False)
    await corrections.correct((await Letter.get()).id, address, None, harness.clock.now())


async def _is_known_not_to_exist(harness: Harness, address: str) -> None:
    await UndeliverableAddress.create(address_hmac=harness.cipher.address_hmac(address), since=harness.clock.now())


def _notices(server: MailServer) -> list[Accepted]:
    return [accepted for accepted in server.accepted if accepted.recipients == (WRITER,)]


def _text(notice: Accepted) -> str:
    part = message_from_bytes(notice.message, policy=policy.default).get_body(("plain",))
    assert part
    text = str(part.get_content())
    assert f"Correct the address: {ORIGIN}/letters/" in text
    return text.replace("\r\n", "\n")


async def test_the_writer_is_notified_once_for_each_address_that_refuses(harness: Harness, server: MailServer) -> None:
    await _post(harness, GONE)
    async with harness.process(server.port) as process:
        await process.deliver()
        await _correct(harness, ALSO_GONE)
        await process.deliver()
        await _correct(harness, "minji@x.test")
        await process.deliver()
    assert (await only()).status is Status.SENT
    first, second = map(_text, _notices(server))
    assert "To: r…@x.test\n" in first
    quiet = f"{ORIGIN}/quiet/{harness.cipher.mailbox_token(harness.cipher.address_hmac(WRITER))}\n"
    assert first.endswith(f"Stop all mail to this address: {quiet}")
    assert "550 5.1.1 as you wish" in first
    assert "550 5.1.2 as you wish" in second
    assert await by_status() == {"sent": 3, "scheduled": 2}


async def test_the_writer_is_not_notified_again_of_the_same_address(harness: Harness, server: MailServer) -> None:
    await _post(harness, "rcpt-550-5.7.1@x.test")
    async with harness.process(server.port) as process:
        for _ in range(2):
            await process.deliver()
            assert await requeue([(await only()).id], harness.clock.now())
        await process.deliver()
    assert (await only()).attempts == 1
    assert len(_notices(server)) == 1


async def test_the_writer_is_notified_of_an_address_known_not_to_exist(harness: Harness, server: MailServer) -> None:
    await _is_known_not_to_exist(harness, KNOWN)
    await _post(harness, KNOWN)
    async with harness.process(server.port) as process:
        await process.deliver()
        await release([(await only()).id], harness.clock.now())
        await _is_known_not_to_exist(harness, KNOWN)
        await process.deliver()
    delivery = await only()
    assert (delivery.status, delivery.held_reason, delivery.attempts) == (Status.HELD, HeldReason.UNDELIVERABLE, 0)
    (notice,) = map(_text, _notices(server))
    assert "To: k…@x.test\n" in notice
    assert "a mail server has said that this address does not exist" in notice
    assert await by_status() == {"held": 1, "sent": 1, "scheduled": 2}


async def test_what_the_last_address_said_is_not_said_of_one_that_was_not_tried(
    harness: Harness, server: MailServer
) -> None:
    await _is_known_not_to_exist(harness, KNOWN)
    await _post(harness, GONE)
    async with harness.process(server.port) as process:
        await process.deliver()
        await _correct(harness, KNOWN)
        await process.deliver()
    _, notice = map(_text, _notices(server))
    assert "To: k…@x.test\n" in notice
    assert "as you wish" not in notice


async def test_a_corrected_address_cancels_the_unsent_notice(harness: Harness, server: MailServer) -> None:
    await _post(harness, GONE)
    async with harness.process(server.port, Choices(slots=1)) as process:
        (claimed,) = await process.claim()
        await process.deliver_one(claimed)
        await _correct(harness, "minji@x.test")
        await process.deliver()
    assert _notices(server) == []
    assert (await Delivery.get(occasion=Occasion.REFUSAL)).status is Status.CANCELLED
    assert await by_status() == {"sent": 1, "cancelled": 1, "scheduled": 2}


async def test_a_second_arrival_that_is_held_back_is_no_refusal_of_the_letter(
    harness: Harness, server: MailServer
) -> None:
    await _post(harness, "minji@x.test")
    async with harness.process(server.port) as process:
        await process.deliver()
        await _is_known_not_to_exist(harness, "minji@x.test")
        harness.clock.advance(timedelta(days=30))
        await process.deliver()
    second = await Delivery.get(occasion=Occasion.SECOND)
    assert (second.status, second.held_reason) == (Status.HELD, HeldReason.UNDELIVERABLE)
    assert not await Delivery.filter(occasion=Occasion.REFUSAL).exists()


async def test_a_letter_that_cannot_be_decrypted_is_held_as_unreadable(
    sqlite_harness: Harness, server: MailServer
) -> None:
    await _is_known_not_to_exist(sqlite_harness, KNOWN)
    await _post(sqlite_harness, KNOWN)
    stranger = Harness(await open_cipher(Cipher(["k" * 32])), sqlite_harness.clock)
    await Letter.all().update(sender_email_sealed=b"\x01" * 64)
    async with stranger.process(server.port) as process:
        await process.deliver()
    delivery = await only()
    assert (delivery.status, delivery.held_reason) == (Status.HELD, HeldReason.UNREADABLE)
    assert await by_status() == {"held": 1, "scheduled": 2}
