"""On a ledger full of waiting deliveries, every statement uses indexes, on both databases.

The statements are those that the program ran, as Tortoise logged them. PostgreSQL shows the generic
plan, which a prepared statement may get.

`MAILBOX_TEST_WAITING=1000000 make test ARGS="tests/store/test_plans.py"` stores a million.
"""

import os
import re
import time
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from app.domain.letter import Draft
from app.domain.retry import Reply
from app.domain.status import Status
from app.store.claims import Claimed, DueWork, claim, find_due_work, hand_over, reclaim, unclaim
from app.store.database import connection, transaction
from app.store.letters import Letters
from app.store.models import Delivery, Worker
from app.store.settlements import AttemptRecord, permanent_failure, settle, unanswered
from app.store.statistics import monitor_view, month_statistics, status_summary
from app.store.uncertain import resend_uncertain
from app.store.workers import unregister
from tests.clock import NEW_YEAR as NOW
from tests.ledger import claim_due, new_worker

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(900)]

WAITING = int(os.environ.get("MAILBOX_TEST_WAITING", "200000"))
_COLUMNS = "letter_id, occasion, notice, status, status_at, promised_at, due_at, message_id, domain_hmac"
# Enough letters that a scan costs more than an index; most waiting deliveries have none.
_MORE_LETTERS = """
    INSERT INTO letters (
        id, token_hash, token_sealed, recipient_email_sealed, recipient_name_sealed, sender_email_sealed,
        sender_name_sealed, subject_sealed, body_sealed, recipient_hmac, language, timezone, written_at, send_at
    )
    SELECT {uuid}, n, '', '', '', '', '', '', {body}, 'r', 'en', 'UTC', '2026-01-01', '2026-01-08'
    FROM {numbers};
    INSERT INTO attempts (
        delivery_id, claim_token, worker_name, started_at, handed_over_at, ended_at, outcome, enhanced, answer
    )
    SELECT n, {uuid}, 'worker', '2026-01-08', '2026-01-08', '2026-01-08', 'unanswered', '', '' FROM {numbers};
"""
_ON_POSTGRES = {
    "uuid": "lpad(to_hex(n), 32, '0')::uuid",
    "body": "repeat('x', 1000)::bytea",
    "numbers": "generate_series(1, 20000) AS n",
}
_ON_SQLITE = {
    "uuid": "letter_id",
    "body": "zeroblob(1000)",
    "numbers": "(SELECT letter_id, id AS n FROM deliveries LIMIT 20000)",
}
_FILL = {
    "postgres": f"""
        SET session_replication_role = replica;
        INSERT INTO deliveries ({_COLUMNS})
        SELECT lpad(to_hex(n), 32, '0')::uuid, 'first', false, 'scheduled', t, t, t + n * interval '1 second',
               '<' || lpad(n::text, 9, '0') || '@slow.test>', 'd'
        FROM generate_series(1, {WAITING}) AS n, (SELECT '{NOW}'::timestamptz + interval '1 day' AS t) AS start;
        {_MORE_LETTERS.format(**_ON_POSTGRES)}
        SET session_replication_role = DEFAULT;
        ANALYZE
    """,
    "sqlite": f"""
        PRAGMA foreign_keys = OFF;
        PRAGMA synchronous = OFF;
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {WAITING})
        INSERT INTO deliveries ({_COLUMNS})
        SELECT printf('00000000-0000-4000-8000-%012d', n), 'first', 0, 'scheduled', '{NOW}', '{NOW}',
               strftime('%Y-%m-%d %H:%M:%S+00:00', {NOW.timestamp():.0f} + 86400 + n, 'unixepoch'),
               printf('<%09d@slow.test>', n), 'd'
        FROM numbers;
        {_MORE_LETTERS.format(**_ON_SQLITE)}
        PRAGMA foreign_keys = ON
    """,
}


class Watched:
    """Explains the statements that calls of the store run."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._log = caplog

    async def by_index(self, call: Awaitable[Any]) -> Any:
        """Return a call's result, and assert that its statements scan no growing table."""
        self._log.clear()
        with self._log.at_level("DEBUG", "tortoise.db_client"):
            result = await call
        queries = [record.args for record in self._log.records if isinstance(record.args, tuple)]
        plans = [await _plan(str(query), values) for query, values in queries if _can_be_explained(query)]
        assert plans
        for plan in plans:
            scans = [line for line in plan if re.search(r"(Seq Scan on|SCAN) (deliveries|letters|attempts)", line)]
            assert not scans, plan
        return result


def _can_be_explained(query: object) -> bool:
    """An INSERT of values has no plan."""
    return bool(re.match(r"\s*(WITH|SELECT|UPDATE|DELETE|INSERT.*SELECT)", str(query), re.DOTALL))


async def _plan(query: str, values: Any) -> list[str]:
    if connection().capabilities.dialect == "sqlite":
        return [row["detail"] for row in await connection().execute_query_dict(f"EXPLAIN QUERY PLAN {query}", values)]
    async with transaction() as client:
        await client.execute_script("SET LOCAL plan_cache_mode = force_generic_plan")
        await client.execute_script(f"PREPARE tested AS {query}")
        arguments = ", ".join(_literal(value) for value in values or [])
        rows = await client.execute_query_dict(f"EXPLAIN EXECUTE tested{f' ({arguments})' if arguments else ''}")
        await client.execute_script("DEALLOCATE tested")
    return [row["QUERY PLAN"] for row in rows]


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "'{{{}}}'".format(", ".join("NULL" if each is None else f'"{each}"' for each in value))
    return str(value) if isinstance(value, int) else "'{}'".format(str(value).replace("'", "''"))


@pytest.fixture
async def watched(prompt_letters: Letters, caplog: pytest.LogCaptureFixture) -> Watched:
    """Very many deliveries wait, and the two of one letter are due."""
    await connection().execute_script(_FILL[connection().capabilities.dialect])
    await prompt_letters.post(Draft("minji@example.org", "Dear you"), NOW - timedelta(minutes=1))
    return Watched(caplog)


async def test_waiting_deliveries_are_never_scanned(watched: Watched) -> None:
    worker = await new_worker()
    await _assert_empty_scan(watched, worker, NOW - timedelta(days=1))
    first, second = await _assert_claims(watched, worker)
    assert await watched.by_index(hand_over([first, second], NOW)) == {first.id, second.id}
    await _assert_settling(watched, first, second)
    await _assert_reclaiming(watched, worker)
    await _assert_summaries(watched)
    assert await Delivery.filter(status=Status.SCHEDULED).count() == WAITING


async def _assert_empty_scan(watched: Watched, worker: UUID, now: datetime) -> None:
    assert await watched.by_index(find_due_work(now)) == DueWork(uncertain=False, unconfirmed=False, scheduled=False)
    await watched.by_index(resend_uncertain(now))
    for notices in (True, False):
        none = claim(worker, uuid4(), now, 10, notices=notices, closed=["somewhere"])
        assert await watched.by_index(none) == []
    assert await _shortest_claim(worker, now) < 0.02, "more than 20 ms to find nothing due"


async def _shortest_claim(worker: UUID, now: datetime) -> float:
    """Return the shortest of 20 empty claims, in seconds."""
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        await claim(worker, uuid4(), now, 10, notices=False)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


async def _assert_claims(watched: Watched, worker: UUID) -> list[Claimed]:
    lost = await watched.by_index(claim_due(worker, limit=1))
    assert await watched.by_index(unclaim(lost[0].token, NOW)) == 1
    claimed: list[Claimed] = await watched.by_index(claim_due(worker, limit=10))
    assert len(claimed) == 2
    return claimed


async def _assert_settling(watched: Watched, first: Claimed, second: Claimed) -> None:
    reply = Reply(550, "5.1.1", "unknown", "rcpt")
    refused = permanent_failure(first, AttemptRecord(NOW, NOW, NOW, reply), undeliverable=True)
    assert await watched.by_index(settle([refused], "worker")) == {first.id}
    lost = unanswered(second, AttemptRecord(NOW, NOW, NOW, None), NOW)
    assert await watched.by_index(settle([lost], "worker")) == {second.id}
    assert len(await watched.by_index(resend_uncertain(NOW))) == 1


async def _assert_reclaiming(watched: Watched, dead: UUID) -> None:
    (claimed,) = await claim_due(dead, limit=1)
    await hand_over([claimed], NOW)
    assert not await watched.by_index(unregister(dead))
    assert len(await watched.by_index(reclaim(dead, 0, NOW))) == 1
    await _assert_deleting_a_worker()


async def _assert_summaries(watched: Watched) -> None:
    """The admin page and the metrics read the counters."""
    assert (await watched.by_index(status_summary(NOW))).backlog.due == 0
    assert len((await watched.by_index(month_statistics(NOW, ZoneInfo("UTC")))).days) == 61
    assert (await watched.by_index(monitor_view(NOW))).backlog.due == 0


async def _assert_deleting_a_worker() -> None:
    """The foreign key makes the database look for the worker's claims."""
    dead = await new_worker()
    if connection().capabilities.dialect == "postgres":
        plan = await _plan("SELECT 1 FROM ONLY deliveries x WHERE $1::uuid = claimed_by_id FOR KEY SHARE OF x", [dead])
        assert any("deliveries_claimed" in line for line in plan), plan
    else:
        steps: list[None] = []
        driver = connection()._connection
        await driver.set_progress_handler(lambda: steps.append(None), 1_000)
        await Worker.filter(id=dead).delete()
        assert len(steps) < 10, f"{len(steps)},000 steps to delete one worker"
