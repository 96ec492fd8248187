"""Messages made before their turn are those that would be made at it."""

from datetime import timedelta
from email import message_from_bytes

import pytest

from app.delivery.packing import BatchPacker, Packer
from app.errors import KeyMissing
from app.mail.compose import Composer
from app.mail.envelope import Envelope
from app.store.models import Letter
from tests.delivery.workers import DOMAIN, ORIGIN, Harness

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)


def _packer(harness: Harness) -> Packer:
    return Packer(harness.cipher, Composer(f"Slow <letters@{DOMAIN}>", "", ORIGIN, "", ""), ORIGIN, DOMAIN)


def _date(envelope: Envelope) -> str | None:
    return message_from_bytes(envelope.message)["Date"]


async def test_the_next_letters_are_packed_with_it_unless_they_wait_too_long(sqlite_harness: Harness) -> None:
    await sqlite_harness.post_and_wait("minji@x.test", "jun@x.test", "sora@x.test")
    async with sqlite_harness.process(1) as process:
        first, *upcoming = await process.claim(3)
    packer, now = _packer(sqlite_harness), sqlite_harness.clock.now()
    ahead = BatchPacker(packer, lambda: upcoming)
    made = ahead.pack(first, now)
    available_within = ahead.pack(upcoming[0], now + 3 * SECOND)
    late = ahead.pack(upcoming[1], now + 6 * SECOND)
    assert made == packer.pack(first, now)
    assert available_within == packer.pack(upcoming[0], now)
    assert late == packer.pack(upcoming[1], now + 6 * SECOND)
    assert _date(available_within) != _date(late)


async def test_a_letter_given_back_and_claimed_again_is_packed_again(sqlite_harness: Harness) -> None:
    """Its writer may have changed it in between."""
    await sqlite_harness.post_and_wait("minji@x.test", "jun@x.test")
    async with sqlite_harness.process(1) as process:
        first, claimed = await process.claim(2)
        ahead = BatchPacker(_packer(sqlite_harness), lambda: [claimed])
        ahead.pack(first, sqlite_harness.clock.now())
        process.completer.give_back(claimed)
        await process.completer.completed()
        row = claimed.letter
        changed = sqlite_harness.cipher.seal_letter(row["id"], row["revision"], {"subject": "Changed"})
        await Letter.filter(id=row["id"]).update(**changed)
        (again,) = await process.claim()
    envelope = ahead.pack(again, sqlite_harness.clock.now())
    assert "Changed" in str(message_from_bytes(envelope.message)["Subject"])


async def test_a_letter_that_cannot_be_decrypted_affects_no_other(sqlite_harness: Harness) -> None:
    await sqlite_harness.post_and_wait("minji@x.test", "jun@x.test")
    async with sqlite_harness.process(1) as process:
        first, broken = await process.claim(2)
    broken = broken._replace(letter={**broken.letter, "body_sealed": b"\x01" * 64})
    ahead = BatchPacker(_packer(sqlite_harness), lambda: [broken])
    assert ahead.pack(first, sqlite_harness.clock.now()).recipient == "minji@x.test"
    with pytest.raises(KeyMissing):
        ahead.pack(broken, sqlite_harness.clock.now())
