"""The bad server: where the ledger ends after all that a mail server may do to us, on both databases.

Rows are those of docs/standards.md. What a server may answer, S2 to S6, stands in `test_refusals`. Here it
breaks off, says what no server says, and falls silent for as long as RFC 5321 has us wait: an hour
of it passes at once, on the event loop's own clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from app.domain.status import AttemptResult, Status
from app.mail.smtp.protocol import DEFAULT_TIMEOUTS
from app.store import claims
from app.store.models import Attempt, Delivery
from app.store.operator_actions import cancel
from tests.delivery.workers import Choices, Harness, Process, by_status, firsts
from tests.smtp_script import USUAL, Script, ScriptedServer, Wire, after, greeting
from tests.time_zones import Hours

pytestmark = pytest.mark.anyio

STEPS = {
    "greeting": "220 mx.test ready\n",
    "EHLO": "250 mx.test\n",
    **{verb: USUAL[verb] for verb in USUAL if verb != "RSET"},
}
LIMITS = {"greeting": 60, "EHLO": 60, "MAIL": 300, "RCPT": 300, "DATA": 300, ".": 600}
"""Seconds of silence after which we give up (S7; RFC 5321 §4.5.3.2)."""
A_MOMENT = 30  # seconds that this machine may take for something that takes none
HOLD = Choices(on_uncertain="hold")


@dataclass(frozen=True)
class End:
    """How a delivery ended: in the ledger, in its last attempt, and for the server's other letters."""

    status: Status
    outcome: AttemptResult | None = None
    code: int | None = None
    handed_over: bool = False
    unanswered: int = 0
    put_off: bool = False
    server_rests: bool = False
    connections: int = 1


NOTHING_CHARGED = End(Status.SCHEDULED, server_rests=True)
PUT_OFF = End(Status.SCHEDULED, AttemptResult.TRANSIENT, put_off=True, connections=2)  # it tries anew at once
CLOSED = End(Status.SCHEDULED, AttemptResult.TRANSIENT, 421, put_off=True, server_rests=True)
UNCERTAIN = End(Status.UNCERTAIN, AttemptResult.UNANSWERED, handed_over=True, unanswered=1, put_off=True)
SENT = End(Status.SENT, AttemptResult.ACCEPTED, 250, handed_over=True)

# Before MAIL it is an outage, after it the letter's own trouble (S2), after the final dot nobody knows (S7).
BROKEN_OFF = {
    "greeting": NOTHING_CHARGED,
    "EHLO": NOTHING_CHARGED,
    "MAIL": PUT_OFF,
    "RCPT": PUT_OFF,
    "DATA": PUT_OFF,
    ".": UNCERTAIN,
}
# 421 closes the connection, and is an answer all the same, after the final dot too (S3).
TOLD_TO_GO = BROKEN_OFF | {
    **dict.fromkeys(("MAIL", "RCPT", "DATA"), CLOSED),
    ".": End(Status.SCHEDULED, AttemptResult.TRANSIENT, 421, handed_over=True, put_off=True, server_rests=True),
}


def _failing(at: str, how: Script) -> Script:
    """Return the script of a server that answers as usual up to one step, and then does as `how` says."""

    async def script(wire: Wire) -> None:
        for step, said in STEPS.items():
            if step == ".":
                await wire.read_text()
            elif step != "greeting":
                await wire.read_line()
            if step == at:
                await how(wire)
                return
            await wire.write(said)

    return script


def _saying(words: str) -> Script:
    async def how(wire: Wire) -> None:
        await wire.write(words)
        await wire.silence()

    return how


async def _drop(wire: Wire) -> None:
    wire.drop()


async def _end_of(
    harness: Harness, script: Script, while_in_flight: Callable[[], Awaitable[None]] | None = None
) -> End:
    """Deliver one letter to such a server, and return what became of it."""
    await harness.post_and_wait("minji@x.test")
    async with (
        ScriptedServer(script) as server,
        harness.process(server.port, HOLD, timeouts=DEFAULT_TIMEOUTS) as process,
    ):
        delivering = asyncio.create_task(process.deliver())
        if while_in_flight:
            await while_in_flight()
        await delivering
        end = await _end(harness, process, len(server.wires))
    await cancel([delivery.id for delivery in await Delivery.all()], harness.clock.now())  # out of the next one's way
    await by_status()
    return end


async def _end(harness: Harness, process: Process, connections: int) -> End:
    delivery = (await firsts())[-1]
    attempt = await Attempt.get_or_none(delivery_id=delivery.id)
    assert delivery.attempts == (attempt is not None)
    assert delivery.due_at == (
        harness.clock.now() + timedelta(minutes=5) if attempt and not delivery.sent_at else delivery.promised_at
    )
    return End(
        delivery.status,
        attempt.outcome if attempt else None,
        attempt.code if attempt else None,
        handed_over=bool(attempt and attempt.handed_over_at),
        unanswered=delivery.unanswered,
        put_off=delivery.due_at > harness.clock.now(),
        server_rests=process.breaker.is_open,
        connections=connections,
    )


@pytest.mark.parametrize(
    ("how", "ends"),
    [
        (_drop, BROKEN_OFF),
        (_saying("wha\x07t?\n"), BROKEN_OFF),
        (_saying("421 4.3.2 going down\n"), TOLD_TO_GO),
    ],
    ids=["dropped", "garbage", "S3 421"],
)
async def test_a_server_that_breaks_off_at_each_command(harness: Harness, how: Script, ends: dict[str, End]) -> None:
    assert {step: await _end_of(harness, _failing(step, how)) for step in ends} == ends


async def test_a_server_that_falls_silent_at_each_command(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A greeting that never comes, and ten minutes without a word after the final dot."""
    hours, silent = Hours(monkeypatch), asyncio.Queue[None]()

    async def fall_silent(wire: Wire) -> None:
        silent.put_nowait(None)
        await wire.silence()

    def waiting(step: str) -> Callable[[], Awaitable[None]]:
        async def wait() -> None:
            for _ in range(BROKEN_OFF[step].connections):
                await silent.get()
                await _statements_ended()
                hours.pass_by(LIMITS[step] - A_MOMENT)
                for _ in range(100):  # an outcome after a time-out would be recorded by now
                    await asyncio.sleep(0)
                await _statements_ended()
                assert (await firsts())[-1].status is Status.CLAIMED
                await _statements_ended()
                hours.pass_by(A_MOMENT)

        return wait

    ends = {step: await _end_of(harness, _failing(step, fall_silent), waiting(step)) for step in BROKEN_OFF}
    assert ends == BROKEN_OFF


async def _statements_ended() -> None:
    """Wait until no statement runs: their time limits go by the same clock."""
    while any(_waits_for_the_store(task) for task in asyncio.all_tasks() - {asyncio.current_task()}):  # noqa: ASYNC110
        await asyncio.sleep(0)


def _waits_for_the_store(task: "asyncio.Task[object]") -> bool:
    awaited: object = task.get_coro()
    while code := getattr(awaited, "cr_code", None):
        if "/app/store/" in code.co_filename:
            return True
        awaited = getattr(awaited, "cr_await", None)
    return False


async def test_a_connection_that_is_dropped_in_the_middle_of_the_text(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The final dot was not written, so nothing was handed over. For a drop after it see `.` above."""
    dropped, hand_over = asyncio.Queue[None](), claims.hand_over

    async def begin_to_read(wire: Wire) -> None:
        await wire.write(USUAL["DATA"])
        await wire.read_line()
        wire.drop()
        dropped.put_nowait(None)

    async def after_the_drop(*args: object) -> set[int]:
        await dropped.get()
        return await hand_over(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(claims, "hand_over", after_the_drop)
    assert await _end_of(harness, _failing("DATA", begin_to_read)) == PUT_OFF


async def _spell(wire: Wire) -> None:
    """Do everything as it should be, a byte at a time."""
    wire.write = wire.write_bytewise  # type: ignore[method-assign]
    await greeting()(wire)


@pytest.mark.parametrize(
    ("script", "end"),
    [
        (greeting(), SENT),  # S1
        (_spell, SENT),
        (
            after(commands=2, then="250 2.0.0 taken\n"),
            End(Status.SCHEDULED, AttemptResult.TRANSIENT, 250, put_off=True),
        ),
    ],
    ids=["S1 taken", "a byte at a time", "S1 taken before there was a text"],
)
async def test_what_is_an_answer(harness: Harness, script: Script, end: End) -> None:
    assert await _end_of(harness, script) == end
