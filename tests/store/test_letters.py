"""Posting, finding and withdrawing letters, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, uuid4
from zoneinfo import ZoneInfo

import pytest
from tortoise.exceptions import IntegrityError

from app.crypto import BlindIndex, Cipher, new_token, token_hash
from app.domain.letter import BODY_LIMIT, Draft
from app.domain.schedule import Delay
from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.errors import KeyMissing, LetterNotFound, NotWithdrawable
from app.store.audit import audit
from app.store.cipher import LETTER_COLUMNS, LetterCipher, open_cipher
from app.store.letters import Letters, Posted
from app.store.models import Delivery, Letter
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, Ledger, new_worker

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
DRAFT = Draft(recipient_email=READER, body="Dear you")
FULL = Draft(
    recipient_email=READER,
    body="안녕, 나중의 나에게",
    subject="여름에 ✨",
    recipient_name="민지",
    sender_name="준",
    sender_email=WRITER,
    timezone="Asia/Seoul",
    language="ko",
)


async def _deliveries(posted: Posted) -> dict[Occasion, Delivery]:
    letter = await Letter.get(token_hash=token_hash(posted.token))
    return {delivery.occasion: delivery for delivery in await Delivery.filter(letter_id=letter.id)}


async def _move(posted: Posted, occasion: Occasion, status: Status) -> None:
    """Put a delivery where only a courier or an operator gets it."""
    delivery = (await _deliveries(posted))[occasion]
    sent_at = NOW if status is Status.SENT else None
    reason = HeldReason.OPERATOR if status is Status.HELD else None
    await Delivery.filter(id=delivery.id).update(status=status, sent_at=sent_at, held_reason=reason)


async def test_a_letter_is_promised_for_the_same_hour_7_and_30_days_later(letters: Letters) -> None:
    """New York's clocks go forward on 8 March 2026, between the two."""
    written_at = datetime(2026, 3, 1, 20, 0, tzinfo=ZoneInfo("America/New_York"))
    posted = await letters.post(replace(DRAFT, timezone="America/New_York"), written_at.astimezone(UTC))
    assert posted.send_at == datetime(2026, 3, 9, 0, 0, tzinfo=UTC)
    assert posted.second_send_at == datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
    assert posted.status is Status.SCHEDULED


async def test_posting_writes_the_deliveries_that_the_dates_promise(letters: Letters) -> None:
    deliveries = await _deliveries(await letters.post(DRAFT, NOW))
    assert {occasion: each.due_at for occasion, each in deliveries.items()} == {
        Occasion.FIRST: NOW + 7 * DAY,
        Occasion.SECOND: NOW + 30 * DAY,
    }
    for each in deliveries.values():
        assert (each.status, each.status_at, each.promised_at) == (Status.SCHEDULED, NOW, each.due_at)
        assert (each.notice, each.attempts, each.sent_at) == (False, 0, None)
    assert (await audit()).adds_up


async def test_a_receipt_is_due_at_once_and_only_where_the_writer_gave_an_address(
    letters: Letters, cipher: LetterCipher
) -> None:
    deliveries = await _deliveries(await letters.post(FULL, NOW))
    receipt = deliveries[Occasion.RECEIPT]
    assert (receipt.notice, receipt.due_at, receipt.status) == (True, NOW, Status.SCHEDULED)
    assert receipt.domain_hmac == cipher.domain_hmac(WRITER)
    assert deliveries[Occasion.FIRST].domain_hmac == cipher.domain_hmac(READER)
    assert Occasion.RECEIPT not in await _deliveries(await letters.post(DRAFT, NOW))


async def test_every_delivery_has_a_message_id_of_its_own_that_tells_nothing(letters: Letters) -> None:
    posted = [await letters.post(FULL, NOW) for _ in range(2)]
    ids = {each.message_id for one in posted for each in (await _deliveries(one)).values()}
    assert len(ids) == 6
    for message_id in ids:
        token, _, domain = message_id.strip("<>").partition("@")
        assert (len(token), domain) == (22, "slow.test")
        assert token not in {one.token for one in posted}


async def test_a_failure_while_posting_stores_nothing(letters: Letters, monkeypatch: pytest.MonkeyPatch) -> None:
    """The letter is in the table already when its second delivery's Message-ID turns out to be taken."""
    monkeypatch.setattr("app.store.posting.new_token", lambda: "the same for all")
    with pytest.raises(IntegrityError):
        await letters.post(FULL, NOW)
    assert (await Letter.all().count(), await Delivery.all().count()) == (0, 0)


@pytest.mark.parametrize(
    "body",
    [
        "가" * BODY_LIMIT,
        "👩‍👩‍👧 🇰🇷 ❤️‍🔥 \U0001f9ff",
        "שלום \u202eabc\u202c مرحبا",
        ".\n..\nFrom me\n\n\ttabs and  spaces \n",
        "a\r\nb\rc\u2028d\u0085e",
        "nothing\x00in between\x01\x7f",
        "e\u0301 is not \u00e9",
        "' OR 1=1; DROP TABLE letters; -- \\ % {0} {{ }} $1 ?",
    ],
    ids=["long", "emoji", "right to left", "dots", "line ends", "NUL", "not normalised", "quotes"],
)
async def test_a_text_comes_back_exactly(letters: Letters, body: str) -> None:
    draft = replace(FULL, body=body, subject=body[:200], recipient_name=body[:100], sender_name=body[:100])
    posted = await letters.post(draft, NOW)
    found = await letters.find(posted.token)
    assert found.draft == draft
    assert (found.written_at, found.send_at, found.second_send_at) == (NOW, posted.send_at, posted.second_send_at)


async def test_a_text_that_is_no_unicode_is_refused_and_leaves_nothing(letters: Letters) -> None:
    with pytest.raises(UnicodeEncodeError):
        await letters.post(replace(DRAFT, body="half a \ud83d pair"), NOW)
    assert not await Letter.exists()


async def test_no_text_is_stored_in_clear(letters: Letters) -> None:
    posted = await letters.post(FULL, NOW)
    (row,) = await Letter.all().values()
    resting = b"".join(bytes(value) if isinstance(value, bytes) else str(value).encode() for value in row.values())
    for text in (posted.token, FULL.body, FULL.subject, FULL.recipient_name, FULL.sender_name, READER, WRITER):
        assert text.encode() not in resting
    assert row["token_hash"] == token_hash(posted.token)


async def test_letters_find_their_reader_by_hmac_however_the_address_is_spelled(
    letters: Letters, cipher: LetterCipher
) -> None:
    await letters.post(replace(DRAFT, recipient_email="MinJi+later@EXAMPLE.org"), NOW)
    assert await Letter.filter(recipient_hmac=cipher.address_hmac(READER)).count() == 1


@pytest.mark.parametrize("token", ["", "nothing", "가" * 30, "\x00", "' OR 1=1"])
async def test_a_link_that_leads_nowhere(letters: Letters, token: str) -> None:
    await letters.post(DRAFT, NOW)
    with pytest.raises(LetterNotFound):
        await letters.find(token)
    with pytest.raises(LetterNotFound):
        await letters.withdraw(token, NOW)
    with pytest.raises(LetterNotFound):
        await letters.find(new_token())


async def test_a_purged_letter_has_no_page_any_more(letters: Letters) -> None:
    posted = await letters.post(DRAFT, NOW)
    await Letter.all().update(purged_at=NOW, **dict.fromkeys((f"{column}_sealed" for column in LETTER_COLUMNS), None))
    with pytest.raises(LetterNotFound):
        await letters.find(posted.token)


async def test_a_letter_sealed_with_a_lost_key_says_so(letters: Letters) -> None:
    posted = await letters.post(DRAFT, NOW)
    stranger = LetterCipher(Cipher(["x" * 32]), BlindIndex(b"x" * 32))
    other = Letters(stranger, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain="slow.test")
    with pytest.raises(KeyMissing):
        await other.find(posted.token)


async def test_the_letters_page_shows_the_last_reply(letters: Letters, ledger: Ledger) -> None:
    posted = await letters.post(DRAFT, NOW)
    first = (await _deliveries(posted))[Occasion.FIRST]
    await ledger.attempt(first, AttemptResult.TRANSIENT, 421, "later")
    await ledger.attempt(first, AttemptResult.TRANSIENT, 450, "slow down")
    await ledger.attempt(first, AttemptResult.UNANSWERED, None, "")
    states = (await letters.find(posted.token)).deliveries
    assert [state.occasion for state in states] == [Occasion.FIRST, Occasion.SECOND]
    assert states[0].last_reply is not None
    assert (states[0].last_reply.code, states[0].last_reply.text) == (450, "slow down")
    assert states[1].last_reply is None


async def test_the_letters_page_does_not_count_notices(letters: Letters) -> None:
    found = await letters.find((await letters.post(FULL, NOW)).token)
    assert [(state.occasion, state.status) for state in found.deliveries] == [
        (Occasion.FIRST, Status.SCHEDULED),
        (Occasion.SECOND, Status.SCHEDULED),
    ]


@pytest.mark.parametrize("first", [Status.SCHEDULED, Status.HELD, Status.FAILED])
async def test_an_unsent_letter_can_be_withdrawn_twice(letters: Letters, first: Status) -> None:
    posted = await letters.post(FULL, NOW)
    await _move(posted, Occasion.FIRST, first)
    for at in (NOW + DAY, NOW + 2 * DAY):
        await letters.withdraw(posted.token, at)
    deliveries = await _deliveries(posted)
    for occasion in (Occasion.FIRST, Occasion.SECOND, Occasion.RECEIPT):
        assert (deliveries[occasion].status, deliveries[occasion].status_at) == (Status.CANCELLED, NOW + DAY)
    assert (await letters.find(posted.token)).status is Status.CANCELLED
    assert (await audit()).adds_up


@pytest.mark.parametrize("first", [Status.SENT, Status.UNCERTAIN])
async def test_after_the_first_arrival_the_second_can_be_withdrawn(letters: Letters, first: Status) -> None:
    posted = await letters.post(DRAFT, NOW)
    await _move(posted, Occasion.FIRST, first)
    for _ in range(2):
        await letters.withdraw(posted.token, NOW)
    deliveries = await _deliveries(posted)
    assert [deliveries[each].status for each in (Occasion.FIRST, Occasion.SECOND)] == [first, Status.CANCELLED]


async def test_a_letter_sent_twice_cannot_be_withdrawn(letters: Letters) -> None:
    posted = await letters.post(DRAFT, NOW)
    for occasion in (Occasion.FIRST, Occasion.SECOND):
        await _move(posted, occasion, Status.SENT)
    with pytest.raises(NotWithdrawable):
        await letters.withdraw(posted.token, NOW)
    assert {each.status for each in (await _deliveries(posted)).values()} == {Status.SENT}


async def test_a_letter_with_a_claimed_delivery_cannot_be_withdrawn(letters: Letters) -> None:
    posted = await letters.post(DRAFT, NOW)
    worker = await new_worker()
    await Delivery.filter(occasion=Occasion.FIRST).update(
        status=Status.CLAIMED, claim_token=uuid4(), claimed_by_id=worker
    )
    with pytest.raises(NotWithdrawable):
        await letters.withdraw(posted.token, NOW)
    assert await Delivery.filter(occasion=Occasion.SECOND, status=Status.SCHEDULED).exists()


async def test_withdrawing_touches_no_other_letter(letters: Letters) -> None:
    mine, theirs = [await letters.post(DRAFT, NOW) for _ in range(2)]
    await letters.withdraw(mine.token, NOW)
    assert (await letters.find(theirs.token)).status is Status.SCHEDULED


async def test_address_hmacs_stay_the_same_when_the_key_is_rotated(cipher: LetterCipher) -> None:
    rotated = await open_cipher(Cipher(["n" * 32, "k" * 32]))
    assert rotated.address_hmac(READER) == cipher.address_hmac(READER)
    with pytest.raises(KeyMissing):
        await open_cipher(Cipher(["n" * 32]))


async def test_letters_written_one_after_another_lie_together_in_the_index(letters: Letters) -> None:
    for minute in range(3):
        await letters.post(DRAFT, NOW + timedelta(minutes=minute))
    ids = [letter.id for letter in await Letter.all().order_by("written_at")]
    assert ids == sorted(ids)
    assert all((each.version, each.variant) == (7, RFC_4122) for each in ids)
