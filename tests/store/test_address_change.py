"""Changing a letter's address, on both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from app.crypto import new_token, token_hash
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import HeldReason, Occasion, Status
from app.errors import BeingSent, LetterNotFound, LimitExceeded, NotCorrectable
from app.store.address_change import Corrections
from app.store.audit import audit
from app.store.cipher import LetterCipher
from app.store.claims import claim
from app.store.confirmation import Confirmations
from app.store.export import export
from app.store.letters import Letters
from app.store.models import BlockedAddress, Correction, Delivery, Letter
from app.store.quotas import Quotas
from app.store.retention import erase
from app.store.unsubscribe import received, stop
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, new_worker

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
NEW = "Sujin+sea@right.example"
LATER = NOW + 10 * DAY
DRAFT = Draft(recipient_email=READER, recipient_name="Minji", body="Dear you", sender_email=WRITER)


def _corrections(cipher: LetterCipher, quotas: Quotas | None) -> Corrections:
    return Corrections(cipher, quotas, Confirmations(cipher, "slow.test"), confirmed=False)


@pytest.fixture
def corrections(cipher: LetterCipher) -> Corrections:
    return _corrections(cipher, None)


@pytest.fixture
async def token(letters: Letters) -> str:
    return (await letters.post(DRAFT, NOW)).token


async def _set_state(occasion: Occasion, status: Status, reason: HeldReason | None = None) -> None:
    """Set a delivery's state, with three attempts of which one was unanswered."""
    await Delivery.filter(occasion=occasion).update(
        status=status,
        held_reason=reason,
        sent_at=NOW if status is Status.SENT else None,
        attempts=3,
        unanswered=1,
        first_refused_at=NOW,
        due_at=NOW + 8 * DAY,
    )


async def _delivery(occasion: Occasion) -> Delivery:
    return await Delivery.get(occasion=occasion)


async def test_a_correction_changes_address_domain_links_and_export(
    letters: Letters, corrections: Corrections, cipher: LetterCipher, token: str
) -> None:
    before = await Letter.get()
    old_link = cipher.reader_token(before.id, before.recipient_hmac)
    await corrections.correct_by_token(token, NEW, None, NOW + DAY)
    letter, found = await Letter.get(), await letters.find(token)
    assert (found.draft.recipient_email, found.draft.recipient_name) == (NEW, "Minji")
    assert replace(found.draft, recipient_email=READER) == DRAFT
    assert letter.recipient_hmac == cipher.address_hmac("sujin@right.example")
    assert letter.recipient_domain_hmac == cipher.domain_hmac(NEW)
    assert letter.sender_hmac == before.sender_hmac
    deliveries = {delivery.occasion: delivery for delivery in await Delivery.all()}
    assert deliveries[Occasion.FIRST].domain_hmac == deliveries[Occasion.SECOND].domain_hmac == cipher.domain_hmac(NEW)
    assert deliveries[Occasion.RECEIPT].domain_hmac == cipher.domain_hmac(WRITER)
    assert [each.due_at for each in deliveries.values()] == [each.promised_at for each in deliveries.values()]
    assert (await received(cipher, cipher.reader_token(letter.id, letter.recipient_hmac), NOW)).address == (
        "S…@right.example"
    )
    with pytest.raises(LetterNotFound):
        await received(cipher, old_link, NOW)
    kept = await export(cipher, token, NOW)
    assert [each["recipient_hmac"] for each in kept["corrections"]] == [letter.recipient_hmac]


async def test_the_name_is_corrected_where_one_is_given(letters: Letters, corrections: Corrections, token: str) -> None:
    await corrections.correct_by_token(token, NEW, "Sujin", NOW)
    assert (await letters.find(token)).draft.recipient_name == "Sujin"
    await corrections.correct_by_token(token, READER, "", NOW)
    assert (await letters.find(token)).draft.recipient_name == ""


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.SCHEDULED, None),
        (Status.FAILED, None),
        (Status.HELD, HeldReason.FIRST_REFUSED),
        (Status.HELD, HeldReason.UNDELIVERABLE),
        (Status.HELD, HeldReason.BLOCKED),
    ],
)
async def test_deliveries_refused_by_the_old_address_are_scheduled_again(
    corrections: Corrections, token: str, status: Status, reason: HeldReason | None
) -> None:
    await _set_state(Occasion.FIRST, status, reason)
    await _set_state(Occasion.SECOND, status, reason)
    await corrections.correct_by_token(token, NEW, None, LATER)
    first, second = await _delivery(Occasion.FIRST), await _delivery(Occasion.SECOND)
    assert first.due_at == LATER
    assert second.due_at == second.promised_at == NOW + 30 * DAY
    for each in (first, second):
        assert [each.status, each.held_reason] == [Status.SCHEDULED, None]
        assert (each.attempts, each.unanswered, each.first_refused_at) == (1, 1, None)
    assert [each.letter["id"] for each in await claim(await new_worker(), uuid4(), LATER, 9, notices=False)]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.SENT, None),
        (Status.CANCELLED, None),
        (Status.UNCERTAIN, None),
        (Status.HELD, HeldReason.OPERATOR),
        (Status.HELD, HeldReason.OVERDUE),
        (Status.HELD, HeldReason.UNREADABLE),
    ],
)
async def test_ended_and_otherwise_held_deliveries_keep_their_state(
    corrections: Corrections, token: str, status: Status, reason: HeldReason | None
) -> None:
    await _set_state(Occasion.FIRST, status, reason)
    (before,) = await Delivery.filter(occasion=Occasion.FIRST).values()
    await corrections.correct_by_token(token, NEW, None, LATER)
    (after,) = await Delivery.filter(occasion=Occasion.FIRST).values()
    ended = status in (Status.SENT, Status.CANCELLED)
    assert (after.pop("domain_hmac") == before.pop("domain_hmac")) is ended
    assert after == before


@pytest.mark.parametrize("statuses", [(Status.SENT, Status.CANCELLED), (Status.UNCERTAIN, Status.SENT)])
async def test_a_letter_without_unsent_deliveries_cannot_be_corrected(
    letters: Letters, corrections: Corrections, token: str, statuses: tuple[Status, Status]
) -> None:
    for occasion, status in zip((Occasion.FIRST, Occasion.SECOND), statuses, strict=True):
        await _set_state(occasion, status)
    with pytest.raises(NotCorrectable):
        await corrections.correct_by_token(token, NEW, None, LATER)
    assert (await letters.find(token)).draft.recipient_email == READER
    assert await Correction.all().count() == 0


async def test_a_claimed_letter_keeps_its_address(letters: Letters, corrections: Corrections, token: str) -> None:
    (claimed,) = await claim(await new_worker(), uuid4(), NOW + 7 * DAY, 9, notices=False)
    with pytest.raises(BeingSent):
        await corrections.correct_by_token(token, NEW, None, LATER)
    assert (await letters.find(token)).draft.recipient_email == READER
    assert (await _delivery(Occasion.SECOND)).domain_hmac == claimed.domain_hmac


async def test_a_concurrent_claim_gets_one_address_and_no_mixture(
    letters: Letters, corrections: Corrections, cipher: LetterCipher, token: str
) -> None:
    worker = await new_worker()
    claims, corrected = await asyncio.gather(
        claim(worker, uuid4(), NOW + 7 * DAY, 9, notices=False),
        corrections.correct_by_token(token, NEW, None, NOW + 7 * DAY),
        return_exceptions=True,
    )
    assert not isinstance(claims, BaseException)
    address = (await letters.find(token)).draft.recipient_email
    assert address == (READER if isinstance(corrected, BeingSent) else NEW)
    for claimed in claims:
        assert cipher.open_letter(claimed.letter)["recipient_email"] == address
        assert claimed.domain_hmac == cipher.domain_hmac(address)


async def test_a_letter_stopped_by_its_reader_cannot_be_corrected(
    corrections: Corrections, cipher: LetterCipher, token: str
) -> None:
    letter = await Letter.get()
    await _set_state(Occasion.FIRST, Status.HELD, HeldReason.OPERATOR)
    await stop(cipher.reader_token(letter.id, letter.recipient_hmac), NOW)
    with pytest.raises(NotCorrectable):
        await corrections.correct_by_token(token, NEW, None, LATER)


async def test_an_unknown_or_a_purged_letter_is_not_found(corrections: Corrections, token: str) -> None:
    letter = await Letter.get()
    await erase(token, NOW)
    for unknown in (token, new_token()):
        with pytest.raises(LetterNotFound):
            await corrections.correct_by_token(unknown, NEW, None, NOW)
    with pytest.raises(LetterNotFound):
        await corrections.correct(letter.id, NEW, None, NOW)
    assert (await Letter.get()).recipient_email_sealed is None
    assert await Correction.all().count() == 0


async def test_a_block_of_the_new_address_holds_the_letter_when_it_is_due(
    corrections: Corrections, cipher: LetterCipher, token: str
) -> None:
    await BlockedAddress.create(address_hmac=cipher.address_hmac(NEW), since=NOW)
    await corrections.correct_by_token(token, NEW, None, NOW)
    assert (await _delivery(Occasion.FIRST)).status is Status.SCHEDULED
    (claimed,) = await claim(await new_worker(), uuid4(), NOW + 7 * DAY, 9, notices=False)
    assert claimed.hold_reason is HeldReason.BLOCKED


async def test_corrections_count_toward_the_new_addresss_quota(letters: Letters, cipher: LetterCipher) -> None:
    """The quota of an address counts posted and corrected letters together."""
    home = ("192.0.2.1",)
    tokens = [(await letters.post(replace(DRAFT, recipient_email=f"r@{n}.org"), NOW)).token for n in range(4)]
    strict = _corrections(cipher, Quotas(per_address=2))
    for token in tokens[:2]:
        await strict.correct_by_token(token, NEW, None, LATER, home)
    with pytest.raises(LimitExceeded):
        await strict.correct_by_token(tokens[2], "SUJIN@right.example", None, LATER, home)
    assert (await letters.find(tokens[2])).draft.recipient_email == "r@2.org"
    posting = Letters(
        cipher,
        first_delay=Delay(days=7),
        second_delay=Delay(days=30),
        message_domain="slow.test",
        quotas=Quotas(per_address=2),
    )
    with pytest.raises(LimitExceeded):
        await posting.post(replace(DRAFT, recipient_email=NEW), LATER, None, home)
    await strict.correct_by_token(tokens[2], NEW, None, LATER + DAY + DAY / 100, home)
    assert (await audit()).adds_up


async def test_corrections_of_one_letter_are_limited(cipher: LetterCipher, token: str) -> None:
    corrections = _corrections(cipher, Quotas(corrections=2))
    for n in range(2):
        await corrections.correct_by_token(token, f"r@{n}.org", None, NOW + n * DAY / 2)
    with pytest.raises(LimitExceeded):
        await corrections.correct_by_token(token, NEW, None, NOW + DAY / 2)
    assert (await Letter.get(token_hash=token_hash(token))).recipient_hmac == cipher.address_hmac("r@1.org")
    await corrections.correct_by_token(token, NEW, None, NOW + DAY + DAY / 100)
