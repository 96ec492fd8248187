"""Taking over from a worker that was killed, by what it had written down, on both databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.delivery.journal import path_of
from app.domain.retry import Reply
from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store import claims
from app.store.claims import Claimed
from app.store.models import Delivery
from tests.delivery.workers import LEASE, Choices, Harness, Process, by_status, firsts, last_attempt
from tests.sending import TAKEN
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio

HERE = Choices(leads=False, on_uncertain="hold")
ELSEWHERE = replace(HERE, journal_dir=Path("another/machine"))


@asynccontextmanager
async def _killed(harness: Harness, server: MailServer, letters: int) -> AsyncIterator[tuple[Process, list[Claimed]]]:
    """A process that has handed letters over, and is killed when the block ends."""
    await harness.post_and_wait(*(f"reader{number}@x.test" for number in range(letters)), sender="jun@writer.test")
    async with harness.process(server.port, HERE, name="dead") as process:
        claimed = await process.claim(letters)
        await claims.hand_over(claimed, harness.clock.now())
        yield process, claimed
        process.journal.close(delete=False)


async def _recover(harness: Harness, process: Process) -> None:
    """Let a lease pass in which only this process writes heartbeats."""
    for _ in range(20):
        await process.beat()
        harness.clock.advance(LEASE / 15)


async def test_replies_are_settled_and_what_was_never_begun_is_sent_again(harness: Harness, server: MailServer) -> None:
    """Only what was begun and has no reply is uncertain."""
    gone = Reply(550, "5.1.1", "no such user", "body")
    full = Reply(452, "4.2.2", "mailbox full", "body")
    async with _killed(harness, server, 5) as (process, claimed):
        for one in claimed[:4]:
            process.journal.begin((one.id, one.token))
        for one, reply in zip(claimed, (TAKEN, gone, full), strict=False):
            process.journal.answered((one.id, one.token), harness.clock.now(), reply)
        answered_at = harness.clock.now()
    async with harness.process(server.port, HERE) as heir:
        with capture_logs() as lines:
            await _recover(harness, heir)
    (line,) = [line for line in lines if line["event"] == "worker recovered"]
    assert (line["number"], sorted(line["deliveries"])) == (5, sorted(one.id for one in claimed))
    sent, failed, put_off, doubtful, untouched = await firsts()
    assert (sent.status, sent.sent_at, sent.unanswered) == (Status.SENT, answered_at, 0)
    assert (failed.status, put_off.status, put_off.attempts) == (Status.FAILED, Status.SCHEDULED, 1)
    assert (doubtful.status, doubtful.unanswered) == (Status.UNCERTAIN, 1)
    assert (untouched.status, untouched.attempts, untouched.handed_over_at) == (Status.SCHEDULED, 0, None)
    attempt = await last_attempt(sent)
    assert (attempt.outcome, attempt.code, attempt.answer, attempt.worker_name) == (
        AttemptResult.ACCEPTED, TAKEN.code, TAKEN.text, "dead",
    )  # fmt: skip
    second = await Delivery.get(letter_id=failed.letter_id, occasion=Occasion.SECOND)
    assert (second.status, second.held_reason) == (Status.HELD, HeldReason.FIRST_REFUSED)
    assert await Delivery.filter(letter_id=failed.letter_id, occasion=Occasion.REFUSAL).exists()
    assert not path_of(HERE.journal_dir, process.heartbeat.id).exists()
    await by_status()


async def test_on_another_machine_handed_over_deliveries_are_uncertain_until_the_journal_is_read(
    harness: Harness, server: MailServer
) -> None:
    async with _killed(harness, server, 3) as (process, claimed):
        for one in claimed[:2]:
            process.journal.begin((one.id, one.token))
        process.journal.answered((claimed[0].id, claimed[0].token), harness.clock.now(), TAKEN)
        answered_at = harness.clock.now()
    async with harness.process(server.port, ELSEWHERE) as heir:
        await _recover(harness, heir)
    assert {delivery.status for delivery in await firsts()} == {Status.UNCERTAIN}
    async with harness.process(server.port, HERE) as restarted:
        await restarted.beat()
    sent, *doubtful = await firsts()
    assert (sent.status, sent.sent_at, sent.unanswered) == (Status.SENT, answered_at, 1)
    assert (await last_attempt(sent)).outcome is AttemptResult.ACCEPTED
    assert {delivery.status for delivery in doubtful} == {Status.UNCERTAIN}
    assert list(HERE.journal_dir.iterdir()) == [path_of(HERE.journal_dir, restarted.heartbeat.id)]
    await by_status()


async def test_a_worker_killed_while_it_recovers_another_does_no_harm(
    harness: Harness, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has settled by the journal, and not yet reclaimed the rest."""
    async with _killed(harness, server, 3) as (dead, claimed):
        for one in claimed[:2]:
            dead.journal.begin((one.id, one.token))
        dead.journal.answered((claimed[0].id, claimed[0].token), harness.clock.now(), TAKEN)
    async with harness.process(server.port, HERE) as heir, harness.process(server.port, HERE) as next_heir:
        with monkeypatch.context() as patch:
            patch.setattr(claims, "reclaim", _gone)
            with pytest.raises(ConnectionError):
                await _recover(harness, heir)
        assert [each.status for each in await firsts()] == [Status.SENT, Status.CLAIMED, Status.SCHEDULED]
        await _recover(harness, next_heir)
    assert [each.status for each in await firsts()] == [Status.SENT, Status.UNCERTAIN, Status.SCHEDULED]
    assert [each.unanswered for each in await firsts()] == [0, 1, 0]
    await by_status()


async def _gone(*_: object) -> int:
    raise ConnectionError("killed at this moment")


async def test_the_journal_of_a_paused_process_is_not_complete(harness: Harness, server: MailServer) -> None:
    """It may go on in this very moment, and write what it has on record as handed over."""
    await harness.post_and_wait("minji@x.test")
    async with (
        harness.process(server.port, HERE, name="sleeper") as sleeper,
        harness.process(server.port, HERE) as heir,
    ):
        claimed = await sleeper.claim()
        await claims.hand_over(claimed, harness.clock.now())
        await _recover(harness, heir)
    assert [delivery.status for delivery in await firsts()] == [Status.UNCERTAIN]


async def test_without_a_file_what_was_handed_over_is_uncertain(harness: Harness, server: MailServer) -> None:
    async with _killed(harness, server, 1) as (process, _):
        path_of(HERE.journal_dir, process.heartbeat.id).unlink()
    async with harness.process(server.port, HERE) as heir:
        await _recover(harness, heir)
    assert [delivery.status for delivery in await firsts()] == [Status.UNCERTAIN]
