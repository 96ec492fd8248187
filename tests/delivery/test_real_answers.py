"""What real servers answer (docs/answers.md), played by a scripted server to one letter each and to forty."""

from datetime import timedelta

import pytest

from app.domain.refusal import Reason
from app.domain.status import Occasion, Status
from app.store.models import Attempt, Delivery, UndeliverableAddress
from tests.answers import ANSWERS, Answer
from tests.delivery.workers import Harness, by_status, firsts
from tests.smtp_server import MailServer

pytestmark = pytest.mark.anyio

TEN_MINUTES = timedelta(minutes=10)
PLAYED = [each for each in ANSWERS if each.stage in ("rcpt", "body") and not each.said.startswith("421")]
OURS = [each for each in PLAYED if each.reason is Reason.OURS]
OTHERS = [each for each in PLAYED if each.reason is not Reason.OURS]


def _line(answer: Answer) -> str:
    return f"{answer.said[:3]} {answer.said[4:]}".replace("\\n", " ")


async def test_each_that_is_not_about_us_ends_its_own_letter_or_none(
    sqlite_harness: Harness, server: MailServer
) -> None:
    by_reader = {f"reader@x{number}.test": each for number, each in enumerate(OTHERS)}

    def wish(stage: str, reader: str) -> str:
        answer = by_reader.get(reader)
        return _line(answer) if answer and answer.stage == stage else ""

    server.policy = wish
    await sqlite_harness.post_and_wait(*by_reader)
    async with sqlite_harness.process(server.port) as process:
        await process.deliver()
        assert not process.breaker.trouble
    ended = {Status.FAILED: True, Status.SCHEDULED: False}
    assert [ended[each.status] for each in await firsts()] == [each.reason.permanent for each in OTHERS]
    attempts = await Attempt.all().order_by("delivery_id")
    assert [attempt.reason for attempt in attempts] == [each.reason for each in OTHERS]
    gone = [reader for reader, each in by_reader.items() if each.reason is Reason.NO_SUCH_ADDRESS]
    assert {each.address_hmac for each in await UndeliverableAddress.all()} == {
        *map(sqlite_harness.cipher.address_hmac, gone)
    }


async def test_none_that_is_about_us_ends_any_of_forty_letters(sqlite_harness: Harness, server: MailServer) -> None:
    await sqlite_harness.post_and_wait(*(f"reader@x{number}.test" for number in range(40)))
    async with sqlite_harness.process(server.port) as process:
        for answer in OURS:
            server.policy = lambda stage, _, answer=answer: _line(answer) * (stage == answer.stage)  # type: ignore[misc]
            await process.deliver()
            assert process.breaker.trouble.startswith(f"the mail server does not accept us: {answer.said[:3]}")
            sqlite_harness.clock.advance(TEN_MINUTES)
        assert await by_status() == {"scheduled": 80}
        server.policy = lambda *_: ""
        await process.deliver()
    assert await Delivery.filter(occasion=Occasion.FIRST, status=Status.SENT, attempts=1).count() == 40
    assert not await UndeliverableAddress.exists()
