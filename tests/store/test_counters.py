"""The counters equal counts of the rows after every change, concurrent ones too, on both databases."""

import asyncio
import contextlib
import sys
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store.audit import audit
from app.store.audit_log import Operator
from app.store.claims import claim, unclaim
from app.store.counters import (
    DURATION,
    LATENESS,
    QUARTER,
    QUARTERS_KEPT,
    WAITING,
    compact,
    count_all,
    count_spans,
    quarter_of,
)
from app.store.database import transaction
from app.store.models import Attempt, Delivery, LedgerCounter
from app.store.operator_actions import hold, hold_due_since, release_held
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger, new_worker
from tests.unit.test_layout import ROOT

pytestmark = pytest.mark.anyio

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WHO = Operator("root (command line)")


async def _counted() -> Counter[tuple[str, str]]:
    """Return the counts that are not zero."""
    counts: Counter[tuple[str, str]] = Counter()
    for count in await count_all():
        counts[count.kind, count.detail] += count.number
    return +counts


async def _by_quarter() -> Counter[tuple[str, bool, int]]:
    """Count the rows by state and the quarter-hour of its moment."""
    rows: Counter[tuple[str, bool, int]] = Counter()
    for each in await Delivery.all():
        waits = each.status in (Status.SCHEDULED, Status.CLAIMED)
        kind = WAITING if waits else each.status.value
        rows[kind, each.notice, quarter_of(each.due_at if waits else each.status_at)] += 1
    for tried in await Attempt.all():
        rows[tried.outcome.value, False, quarter_of(tried.ended_at)] += 1
    return rows


async def _hold() -> None:
    counts: Counter[tuple[str, bool, int]] = Counter()
    for tally in await LedgerCounter.all():
        counts[tally.kind, tally.notice, tally.quarter] += tally.number
    assert {key: number for key, number in counts.items() if number} == await _by_quarter()


async def test_every_state_is_counted_by_its_own_moment(ledger: Ledger) -> None:
    for hour, status in enumerate(Status):
        await ledger.add(status, NOW + hour * HOUR)
    await ledger.add(Status.SENT, NOW, occasion=Occasion.RECEIPT)
    await _hold()
    assert await _counted() == {
        ("waiting", ""): 2,
        ("sent", "60"): 2,
        ("uncertain", ""): 1,
        ("held", "operator"): 1,
        ("failed", ""): 1,
        ("cancelled", ""): 1,
    }


async def test_claiming_and_giving_back_write_nothing(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    before = await LedgerCounter.all().values()
    worker, token = await new_worker(), uuid4()
    assert len(await claim(worker, token, NOW, 1, notices=False)) == 1
    assert await unclaim(token, NOW + HOUR) == 1
    assert await LedgerCounter.all().values() == before


async def test_lateness_and_duration_are_counted(ledger: Ledger) -> None:
    """A delivery that the operator sent before its promise has no lateness."""
    steps = (-HOUR, timedelta(seconds=60), timedelta(seconds=61), DAY, DAY * 2)
    for late in steps:
        delivery = await ledger.add(Status.SENT, NOW)
        await Delivery.filter(id=delivery.id).update(promised_at=NOW - late)
        await Attempt.create(**_attempt(delivery, timedelta(milliseconds=30)))
    await Attempt.create(**_attempt(delivery, timedelta(minutes=11), AttemptResult.TRANSIENT))
    counts = {(each.kind, each.detail): each for each in await count_all() if each.number}
    assert {key: each.number for key, each in counts.items()} == {
        ("sent", "60"): 2,
        ("sent", "300"): 1,
        ("sent", "86400"): 1,
        ("sent", "inf"): 1,
        ("accepted", "0.05"): 5,
        ("transient", "inf"): 1,
    }
    assert abs(counts["accepted", "0.05"].milliseconds - 5 * 30) <= 5  # SQLite's julian days are exact to a millisecond
    assert abs(counts["sent", "60"].milliseconds - 60_000) <= 2


def _attempt(delivery: Delivery, took: timedelta, outcome: AttemptResult = AttemptResult.ACCEPTED) -> dict[str, Any]:
    moments = {"started_at": NOW, "handed_over_at": NOW, "ended_at": NOW + took}
    return {"delivery": delivery, "claim_token": uuid4(), "worker_name": "w", "outcome": outcome, **moments}


async def test_the_buckets_are_those_of_the_triggers(ledger: Ledger) -> None:
    delivery = await ledger.add(Status.SENT, NOW)
    for step in (*LATENESS[:-1], LATENESS[-2] + 1):
        await Delivery.filter(id=delivery.id).update(promised_at=NOW - timedelta(seconds=step))
        ((kind, detail),) = await _counted()
        assert (kind, float(detail)) == ("sent", min(each for each in LATENESS if each >= step))
    for step in (*DURATION[:-1], DURATION[-2] + 1):
        await Attempt.create(**_attempt(delivery, timedelta(seconds=step)))
    assert sorted(float(detail) for kind, detail in await _counted() if kind == "accepted") == list(DURATION)


async def test_a_span_counts_the_quarters_that_begin_in_it(ledger: Ledger) -> None:
    for minutes in (-16, -15, 0, 14, 15, 60):
        await ledger.add(Status.SENT, NOW + timedelta(minutes=minutes))
        await ledger.add(Status.SCHEDULED, NOW + timedelta(minutes=minutes))
    spans = [(NOW, NOW + HOUR), (NOW - QUARTER, NOW), (NOW - DAY, NOW + DAY), (NOW + DAY, NOW + 2 * DAY)]
    found = await count_spans([WAITING], spans)
    assert sorted((each.kind, each.span, each.number) for each in found) == [
        ("waiting", 0, 3),
        ("waiting", 1, 1),
        ("waiting", 2, 6),
    ]


async def test_compacting_keeps_the_counts_and_leaves_few_rows(ledger: Ledger) -> None:
    old = NOW - QUARTERS_KEPT - DAY
    for number in range(3):
        await ledger.add(Status.SENT, NOW)
        await ledger.add(Status.FAILED, old + number * HOUR)
        moved = await ledger.add(Status.SCHEDULED, old)
        await Delivery.filter(id=moved.id).update(status=Status.CANCELLED, status_at=NOW)
    before = await _counted()
    for _ in range(3):
        await compact(NOW)
        assert await _counted() == before == {("sent", "60"): 3, ("failed", ""): 3, ("cancelled", ""): 3}
    assert await LedgerCounter.all().count() == 3
    await Delivery.filter(status=Status.FAILED).update(status=Status.SCHEDULED)  # from compacted quarters
    assert await _counted() == {("sent", "60"): 3, ("waiting", ""): 3, ("cancelled", ""): 3}
    await compact(NOW)
    assert await LedgerCounter.all().count() == 3
    assert (await audit()).adds_up is False  # these rows were inserted without attempts
    assert not {name: found for name, found in (await audit()).impossible.items() if found and "count" in name}


async def test_rolled_back_changes_are_not_counted(ledger: Ledger) -> None:
    await ledger.add(Status.SCHEDULED, NOW)
    with contextlib.suppress(ZeroDivisionError):
        async with transaction():
            await ledger.add(Status.FAILED, NOW)
            await Delivery.all().update(status=Status.CANCELLED)
            raise ZeroDivisionError
    assert await _counted() == {("waiting", ""): 1}


async def test_an_update_counts_its_own_rows(ledger: Ledger) -> None:
    """On SQLite, Tortoise 1.1 adds the rows that triggers changed."""
    for _ in range(3):
        await ledger.add(Status.SCHEDULED, NOW)
    async with transaction():
        assert await Delivery.filter(status=Status.SCHEDULED).update(status=Status.CANCELLED, status_at=NOW) == 3
    assert await Delivery.filter(status=Status.CANCELLED).update(status=Status.SCHEDULED, status_at=NOW) == 3
    assert len(await hold([row.id for row in await Delivery.all()], NOW)) == 3
    assert await Attempt.all().delete() == 0
    assert await Delivery.all().limit(2).delete() in (2, 3)


async def test_several_processes_at_once_are_counted_exactly(ledger: Ledger, database_url: str) -> None:
    """Three processes send while one compacts, holds, releases and posts."""
    await ledger.multiply(await ledger.add(Status.SCHEDULED, NOW), 599)
    claimers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.store.claimer", database_url),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for claimer in claimers:
        assert claimer.stdout
        await claimer.stdout.readline()
    claims = asyncio.gather(*(claimer.communicate(b"go\n") for claimer in claimers))
    rounds = 0
    while rounds < 4 or not claims.done():
        await compact(NOW)
        await ledger.add(Status.SCHEDULED, NOW + DAY)
        await hold_due_since(NOW + DAY, NOW + DAY, WHO)
        await release_held(HeldReason.OPERATOR, NOW, WHO)
        rounds += 1
        await asyncio.sleep(0.01)
    await claims
    assert [claimer.returncode for claimer in claimers] == [0, 0, 0]
    await _hold()
    counts = await _counted()
    assert sum(number for (kind, _), number in counts.items() if kind == "sent") == 600
    assert sum(number for (kind, _), number in counts.items() if kind == "accepted") == 600
    assert counts["waiting", ""] == rounds
    assert (await audit()).impossible["counters that differ from the deliveries"] == 0
