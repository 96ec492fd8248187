"""What a reader's wishes do to a letter on its way, on both databases."""

from email import message_from_bytes, policy

import pytest

from app.crypto import token_hash
from app.domain.status import HeldReason, Occasion, Status
from app.store.models import BlockedAddress, Delivery, Letter
from tests.delivery.workers import ORIGIN, Harness, by_status
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio


async def test_what_its_reader_does_not_want_is_not_even_tried(harness: Harness, server: MailServer) -> None:
    """A block shows when the letter is due, for letters and for notices alike."""
    await BlockedAddress.create(address_hmac=harness.cipher.address_hmac("minji@x.test"), since=harness.clock.now())
    await harness.post("minji@x.test", sender="jun@x.test")
    await harness.post_and_wait("sora@x.test", sender="minji+tag@X.test")
    async with harness.process(server.port) as process:
        await process.deliver()
    barred = await Delivery.filter(status=Status.HELD, held_reason=HeldReason.BLOCKED).order_by("id")
    assert [delivery.occasion for delivery in barred] == [Occasion.FIRST, Occasion.RECEIPT]
    assert [accepted.recipients[0] for accepted in server.accepted] == ["jun@x.test", "sora@x.test"]
    assert await by_status() == {"sent": 2, "held": 2, "scheduled": 2}


async def test_the_reader_gets_the_link_that_stops_the_letter_and_the_writer_one_of_their_own(
    sqlite_harness: Harness, server: MailServer
) -> None:
    await sqlite_harness.post("old@x.test")
    await Letter.all().update(reader_token_hash=None)
    await sqlite_harness.post_and_wait("minji@x.test", sender="jun@x.test")
    async with sqlite_harness.process(server.port) as process:
        await process.deliver()
    letter = await Letter.get(sender_hmac__not_isnull=True)
    token = sqlite_harness.cipher.reader_token(letter.id, letter.recipient_hmac)
    assert letter.reader_token_hash == token_hash(token)
    links = {
        accepted.recipients[0]: message_from_bytes(accepted.message, policy=policy.default)["List-Unsubscribe"]
        for accepted in server.accepted
    }
    writers = f"<{ORIGIN}/quiet/{sqlite_harness.cipher.mailbox_token(letter.sender_hmac or '')}>"
    assert links == {"old@x.test": None, "jun@x.test": writers, "minji@x.test": f"<{ORIGIN}/stop/{token}>"}
