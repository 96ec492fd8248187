"""Every transition out of `claimed`, what it writes, and its fence, on both databases."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.domain.letter import Draft
from app.domain.retry import Reply
from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store.audit import audit
from app.store.cipher import LetterCipher
from app.store.claims import Claimed, hand_over, reclaim
from app.store.letters import Letters
from app.store.models import Attempt, Delivery, UndeliverableAddress
from app.store.posting import new_delivery
from app.store.settlements import (
    AttemptRecord,
    Outcome,
    given_back,
    held_back,
    permanent_failure,
    sent,
    settle,
    transient_failure,
    unanswered,
)
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER, Ledger, claim_due, new_worker

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
LETTER = Draft(recipient_email=READER, sender_email=WRITER, body="Dear you")
TAKEN = Reply(250, "2.0.0", "queued", "body")
FULL_MAILBOX = Reply(452, "4.2.2", f"<{READER}> is full, see {'x' * 22}", "rcpt")
NOBODY = Reply(550, "5.1.1", "no such user", "rcpt")


def tried(reply: Reply | None, *, handed_over: bool = True, remark: str = "") -> AttemptRecord:
    return AttemptRecord(NOW, NOW + MINUTE if handed_over else None, NOW + 2 * MINUTE, reply, remark)


async def _claimed(letters: Letters, *, notices: bool = False) -> list[Claimed]:
    await letters.post(LETTER, NOW - MINUTE)
    return await claim_due(await new_worker(), notices=notices)


async def _state(claimed: Claimed) -> dict[str, Any]:
    (row,) = await Delivery.filter(id=claimed.id).values()
    assert (row["claim_token"], row["claimed_by_id"], row["handed_over_at"]) == (None, None, None)
    names = ("status", "status_at", "due_at", "sent_at", "held_reason", "attempts", "unanswered", "first_refused_at")
    return {name: row[name] for name in names}


def _expected(claimed: Claimed, status: Status, at: datetime, **changes: object) -> dict[str, Any]:
    unchanged = {"due_at": claimed.due_at, "sent_at": None, "held_reason": None, "first_refused_at": None}
    return unchanged | {"status": status, "status_at": at, "attempts": 0, "unanswered": 0} | changes


async def _settled(ending: Outcome, *, handed_over: bool = False) -> None:
    if handed_over:
        assert await hand_over([ending.claimed], NOW) == {ending.claimed.id}
    assert await settle([ending], "mailhost:17") == {ending.claimed.id}
    assert (await audit()).adds_up


async def test_sent(prompt_letters: Letters) -> None:
    first, _ = await _claimed(prompt_letters)
    await _settled(sent(first, tried(TAKEN)), handed_over=True)
    at = NOW + 2 * MINUTE
    assert await _state(first) == _expected(first, Status.SENT, at, sent_at=at, attempts=1)
    attempt = await Attempt.get(delivery_id=first.id)
    assert (attempt.claim_token, attempt.worker_name, attempt.outcome) == (
        first.token,
        "mailhost:17",
        AttemptResult.ACCEPTED,
    )
    assert (attempt.started_at, attempt.handed_over_at, attempt.ended_at) == (NOW, NOW + MINUTE, at)
    assert (attempt.code, attempt.enhanced, attempt.answer) == (250, "2.0.0", "queued")


async def test_a_transient_failure_counts_as_an_attempt_and_is_due_later(prompt_letters: Letters) -> None:
    first, second = await _claimed(prompt_letters)
    at, later = NOW + 2 * MINUTE, NOW + 9 * MINUTE
    await _settled(transient_failure(first, tried(FULL_MAILBOX, handed_over=False), later))
    assert await _state(first) == _expected(first, Status.SCHEDULED, at, due_at=later, attempts=1, first_refused_at=at)
    attempt = await Attempt.get(delivery_id=first.id)
    assert (attempt.outcome, attempt.handed_over_at) == (AttemptResult.TRANSIENT, None)
    assert (attempt.code, attempt.enhanced, attempt.answer) == (452, "4.2.2", "<[address]> is full, see […]")
    assert (await Delivery.get(id=second.id)).status is Status.CLAIMED


async def test_the_first_refusal_is_remembered_and_not_moved(prompt_letters: Letters) -> None:
    first, _ = await _claimed(prompt_letters)
    await _settled(transient_failure(first, tried(FULL_MAILBOX), NOW))
    again = next(one for one in await claim_due(await new_worker()) if one.id == first.id)
    assert (again.attempts, again.first_refused_at) == (1, NOW + 2 * MINUTE)
    later = AttemptRecord(NOW + 60 * MINUTE, None, NOW + 61 * MINUTE, None, "connection lost")
    await _settled(transient_failure(again, later, NOW + 90 * MINUTE))
    state = await _state(again)
    assert (state["attempts"], state["first_refused_at"]) == (2, NOW + 2 * MINUTE)
    newest = await Attempt.filter(delivery_id=first.id).order_by("-id").first()
    assert newest
    assert (newest.code, newest.enhanced, newest.answer) == (None, "", "connection lost")


async def test_a_refused_first_holds_the_second_tells_the_writer_and_blocks_the_address(
    letters: Letters, cipher: LetterCipher
) -> None:
    await letters.post(LETTER, NOW - timedelta(days=8))
    (first,) = await claim_due(await new_worker())
    notice = _refusal(first, cipher)
    await _settled(permanent_failure(first, tried(NOBODY, handed_over=False), undeliverable=True, notice=notice))
    at = NOW + 2 * MINUTE
    assert await _state(first) == _expected(first, Status.FAILED, at, attempts=1)
    second = await Delivery.get(occasion=Occasion.SECOND)
    assert (second.status, second.held_reason, second.status_at) == (Status.HELD, HeldReason.FIRST_REFUSED, at)
    told = await Delivery.get(occasion=Occasion.REFUSAL)
    assert (told.status, told.letter_id, told.due_at, told.notice) == (Status.SCHEDULED, second.letter_id, NOW, True)
    assert [row.address_hmac for row in await UndeliverableAddress.all()] == [cipher.address_hmac(READER)]
    assert (await Attempt.get(delivery_id=first.id)).outcome is AttemptResult.PERMANENT


def _refusal(claimed: Claimed, cipher: LetterCipher) -> Delivery:
    letter = Delivery(letter_id=claimed.letter["id"]).letter_id
    domain = cipher.domain_hmac(WRITER)
    return new_delivery(letter, Occasion.REFUSAL, NOW, NOW, domain_hmac=domain, message_domain="slow.test")


async def test_the_writer_is_told_once_and_an_address_blocked_once(letters: Letters, cipher: LetterCipher) -> None:
    """After the operator requeued it, the first delivery is refused again."""
    await letters.post(LETTER, NOW - timedelta(days=8))
    for _ in range(2):
        (first,) = await claim_due(await new_worker())
        ending = permanent_failure(first, tried(NOBODY), undeliverable=True, notice=_refusal(first, cipher))
        await _settled(ending)
        await Delivery.filter(id=first.id).update(status=Status.SCHEDULED)
    assert await Delivery.filter(occasion=Occasion.REFUSAL).count() == 1
    assert await UndeliverableAddress.all().count() == 1


async def test_a_refused_second_or_notice_holds_nothing(prompt_letters: Letters, cipher: LetterCipher) -> None:
    first, second = await _claimed(prompt_letters)
    (receipt,) = await claim_due(await new_worker(), notices=True)
    await settle([given_back(first, NOW)], "worker")
    await _settled(permanent_failure(second, tried(NOBODY)))
    await _settled(permanent_failure(receipt, tried(NOBODY), undeliverable=True))
    assert (await Delivery.get(id=first.id)).status is Status.SCHEDULED
    assert [row.address_hmac for row in await UndeliverableAddress.all()] == [cipher.address_hmac(WRITER)]


async def test_a_second_sent_already_is_not_held(prompt_letters: Letters) -> None:
    first, second = await _claimed(prompt_letters)
    await _settled(sent(second, tried(TAKEN)))
    await _settled(permanent_failure(first, tried(NOBODY)))
    assert (await Delivery.get(id=second.id)).status is Status.SENT


async def test_unanswered(prompt_letters: Letters) -> None:
    first, _ = await _claimed(prompt_letters)
    at, later = NOW + 2 * MINUTE, NOW + 9 * MINUTE
    await _settled(unanswered(first, tried(None, remark="silence"), later), handed_over=True)
    assert await _state(first) == _expected(first, Status.UNCERTAIN, at, due_at=later, attempts=1, unanswered=1)
    attempt = await Attempt.get(delivery_id=first.id)
    assert (attempt.outcome, attempt.code, attempt.answer) == (AttemptResult.UNANSWERED, None, "silence")


async def test_given_back_does_not_count_and_keeps_its_place(prompt_letters: Letters) -> None:
    first, second = await _claimed(prompt_letters)
    await _settled(given_back(first, NOW + MINUTE))
    await _settled(given_back(second, NOW + MINUTE, NOW + 9 * MINUTE))
    assert await _state(first) == _expected(first, Status.SCHEDULED, NOW + MINUTE)
    assert await _state(second) == _expected(second, Status.SCHEDULED, NOW + MINUTE, due_at=NOW + 9 * MINUTE)
    assert not await Attempt.exists()


@pytest.mark.parametrize("reason", [HeldReason.OVERDUE, HeldReason.UNDELIVERABLE, HeldReason.UNREADABLE])
async def test_held_back(prompt_letters: Letters, reason: HeldReason) -> None:
    first, _ = await _claimed(prompt_letters)
    await _settled(held_back(first, NOW + MINUTE, reason))
    assert await _state(first) == _expected(first, Status.HELD, NOW + MINUTE, held_reason=reason)
    assert not await Attempt.exists()


@pytest.mark.parametrize(
    "said",
    ["a\x00b", "half \ud83d", "two\r\nlines\x1b[31m", "가" * 3_000, f"{READER} " * 300, "x" * 100_000],
    ids=["NUL", "surrogate", "controls", "long", "addresses", "one long word"],
)
async def test_any_reply_can_be_recorded(prompt_letters: Letters, said: str) -> None:
    """One answer that PostgreSQL does not take would keep its whole group from being settled."""
    first, second = await _claimed(prompt_letters)
    endings = [
        transient_failure(first, tried(Reply(450, "4.0.0", said, "rcpt")), NOW),
        unanswered(second, tried(None, remark=said), NOW),
    ]
    assert await settle(endings, "worker") == {first.id, second.id}
    for attempt in await Attempt.all():
        assert attempt.answer.isprintable()
        assert len(attempt.answer) <= 500
        assert READER not in attempt.answer


async def test_a_wrong_token_settles_nothing(prompt_letters: Letters) -> None:
    first, second = await _claimed(prompt_letters)
    before = await Delivery.all().order_by("id").values()
    strange = first._replace(token=uuid4())
    crossed = second._replace(id=999_999)
    assert await hand_over([strange, crossed], NOW) == set()
    for one in (strange, crossed):
        for ending in (sent(one, tried(TAKEN)), permanent_failure(one, tried(NOBODY), undeliverable=True)):
            assert await settle([ending], "worker") == set()
    assert await Delivery.all().order_by("id").values() == before
    assert not await Attempt.exists()
    assert not await UndeliverableAddress.exists()


async def test_an_outcome_is_recorded_once(prompt_letters: Letters) -> None:
    """The database's first answer was lost with the connection, and the courier settles again."""
    first, _ = await _claimed(prompt_letters)
    await _settled(sent(first, tried(TAKEN)))
    assert await settle([sent(first, tried(TAKEN))], "worker") == set()
    assert await hand_over([first], NOW) == set()
    assert await Attempt.all().count() == 1


async def test_a_slow_courier_whose_lease_has_run_out_cannot_settle_another_s_claim(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    slow, quick = await new_worker(), await new_worker()
    (old,) = await claim_due(slow)
    assert len(await reclaim(slow, 0, NOW)) == 1
    (new,) = await claim_due(quick)
    assert new.id == old.id
    assert await hand_over([old], NOW) == set(), "it must not write the letter any more"
    for ending in (sent(old, tried(TAKEN)), given_back(old, NOW), unanswered(old, tried(None), NOW)):
        assert await settle([ending], "slow") == set()
    row = await Delivery.get(id=new.id)
    assert (row.status, row.claim_token, row.claimed_by_id) == (Status.CLAIMED, new.token, quick)
    assert await hand_over([new], NOW) == {new.id}
    assert await settle([sent(new, tried(TAKEN))], "quick") == {new.id}
    assert [attempt.worker_name for attempt in await Attempt.all()] == ["quick"]


async def test_a_group_is_all_or_nothing(prompt_letters: Letters) -> None:
    """An accepted letter that was never handed over cannot be; its neighbour is not settled either."""
    first, second = await _claimed(prompt_letters)
    broken = sent(second, tried(TAKEN, handed_over=False))
    with pytest.raises(Exception, match="attempts_handed_over"):
        await settle([sent(first, tried(TAKEN)), broken], "worker")
    assert await Delivery.filter(status=Status.CLAIMED).count() == 2
    assert not await Attempt.exists()


async def test_five_hundred_mixed_outcomes_at_once(ledger: Ledger, cipher: LetterCipher) -> None:
    await ledger.multiply(await ledger.add(Status.SCHEDULED, NOW), 599)
    claimed = await claim_due(await new_worker(), limit=500)
    assert await hand_over(claimed, NOW) == {one.id for one in claimed}
    ways = [
        lambda one: sent(one, tried(TAKEN)),
        lambda one: transient_failure(one, tried(FULL_MAILBOX), NOW + MINUTE),
        lambda one: permanent_failure(one, tried(NOBODY), undeliverable=True, notice=_refusal(one, cipher)),
        lambda one: unanswered(one, tried(None), NOW + MINUTE),
        lambda one: given_back(one, NOW),
        lambda one: held_back(one, NOW, HeldReason.OVERDUE),
    ]
    endings = [ways[number % 6](one) for number, one in enumerate(claimed)]
    assert await settle(endings, "worker") == {one.id for one in claimed}
    assert {status: count for status, count in (await audit()).by_status.items() if count} == {
        "sent": 84,
        "failed": 83,
        "uncertain": 83,
        "held": 83,
        "scheduled": 100 + 84 + 83 + 83,  # left alone, refused for now, given back, and the notices
    }
    assert await Attempt.all().count() == 84 + 84 + 83 + 83
    assert await UndeliverableAddress.all().count() == 1
