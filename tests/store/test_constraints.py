"""Every constraint rejects what breaks it, on both databases."""

import re

import pytest
from tortoise.exceptions import IntegrityError

from app.domain.status import AttemptResult, Status
from app.store.cipher import LETTER_COLUMNS
from app.store.database import connection
from app.store.job_runs import record_job_start
from app.store.models import Attempt, Delivery, Letter, Worker
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger, new_worker

pytestmark = pytest.mark.anyio

AT = "'2026-01-01 09:30:00+00:00'"
ACTION = "(at, who, client, action, subject, asked)"
BULK = "(id, action, who, client, selection, chosen, asked, cursor, seen, changed, begun_at)"
UNKNOWN = "'00000000-0000-4000-8000-000000000000'"
# The constraint, the state of the row it is tested on, and an update that breaks only it.
CHECKS = [
    ("letters_arrive_later", Status.SCHEDULED, "send_at = written_at"),
    ("letters_revision", Status.SCHEDULED, "revision = -1"),
    ("letters_second_after_first", Status.SCHEDULED, "second_send_at = send_at"),
    ("letters_sealed_until_purged", Status.SCHEDULED, f"purged_at = {AT}"),
    *(("letters_sealed_until_purged", Status.SCHEDULED, f"{column}_sealed = NULL") for column in LETTER_COLUMNS),
    ("deliveries_occasion", Status.SCHEDULED, "occasion = 'third', notice = true"),
    ("deliveries_status", Status.SCHEDULED, "status = 'lost'"),
    ("deliveries_sent_at", Status.SCHEDULED, f"sent_at = {AT}"),
    ("deliveries_sent_at", Status.SCHEDULED, "status = 'sent'"),
    ("deliveries_sent_at", Status.SENT, "sent_at = NULL"),
    ("deliveries_sent_at", Status.SENT, "status = 'scheduled'"),
    ("deliveries_claim_token", Status.SCHEDULED, f"claim_token = {UNKNOWN}"),
    ("deliveries_claim_token", Status.CLAIMED, "claim_token = NULL"),
    ("deliveries_claimed_by", Status.SCHEDULED, f"claimed_by_id = {UNKNOWN}"),
    ("deliveries_claimed_by", Status.CLAIMED, "claimed_by_id = NULL"),
    ("deliveries_handed_over", Status.SCHEDULED, f"handed_over_at = {AT}"),
    ("deliveries_handed_over", Status.UNCERTAIN, f"handed_over_at = {AT}"),
    ("deliveries_held_reason", Status.SCHEDULED, "held_reason = 'operator'"),
    ("deliveries_held_reason", Status.HELD, "held_reason = NULL"),
    ("deliveries_held_reason", Status.HELD, "held_reason = 'a whim'"),
    ("deliveries_notice", Status.SCHEDULED, "notice = true"),
    ("deliveries_notice", Status.SCHEDULED, "occasion = 'receipt'"),
    ("deliveries_counts", Status.SCHEDULED, "unanswered = 1"),
    ("deliveries_counts", Status.SCHEDULED, "unanswered = -1"),
    ("attempts_outcome", Status.SENT, "outcome = 'perhaps'"),
    ("attempts_reason", Status.SENT, "reason = 'policy'"),
    ("attempts_reason", Status.SENT, "outcome = 'permanent', reason = 'perhaps'"),
    ("attempts_handed_over", Status.SENT, "handed_over_at = NULL"),
    ("attempts_handed_over", Status.SENT, "outcome = 'unanswered', handed_over_at = NULL"),
    ("counters_kind", Status.SENT, "kind = 'claimed'"),
    ("job_runs_counts", Status.SENT, "number = -1"),
    ("letters_sealed_at", Status.SENT, "sealed_at = '2025-01-01 09:30:00+00:00'"),
]
INSERTS = [
    ("operator_actions_named", f"operator_actions {ACTION} VALUES ({AT}, '', '', 'hold', '', 1)"),
    ("operator_actions_counts", f"operator_actions {ACTION} VALUES ({AT}, 'w', '', 'hold', '', -1)"),
    ("delivery_actions_named", f"delivery_actions (delivery_id, at, who, action) VALUES (1, {AT}, 'w', '')"),
    ("bulk_actions_counts", f"bulk_actions {BULK} VALUES ({UNKNOWN}, 'hold', 'w', '', '', '', 2, '', 1, 2, {AT})"),
    ("pauses_name", f"pauses (name, since, who) VALUES ('thinking', {AT}, 'w')"),
    ("quota_counts_number", "quota_counts (scope, minute, number) VALUES ('all', 1, 0)"),
    ("raised_alerts_attempts", f"raised_alerts (name, since, fired_at, attempts) VALUES ('late', {AT}, {AT}, -1)"),
]
"""Tested by inserts: some tables are append-only."""

TABLES = ("letters", "deliveries", "attempts", "counters", "job_runs")


async def _row(ledger: Ledger, status: Status) -> Delivery:
    delivery = await ledger.add(status, NOW)
    if status is Status.SENT:
        await ledger.attempt(delivery, AttemptResult.ACCEPTED, 250, "ok")
    return delivery


async def test_every_check_refuses_what_breaks_it(ledger: Ledger) -> None:
    for status in Status:
        await _row(ledger, status)
    await record_job_start("scan", "worker", NOW, NOW)
    for name, status, assignment in CHECKS:
        table = next(each for each in TABLES if name.startswith(each))
        where = f"WHERE status = '{status}'" if table == "deliveries" else ""
        with pytest.raises(IntegrityError, match=rf"\b{name}\b"):
            await connection().execute_query(f"UPDATE {table} SET {assignment} {where}")
    for name, values in INSERTS:
        with pytest.raises(IntegrityError, match=rf"\b{name}\b"):
            await connection().execute_query(f"INSERT INTO {values}")


@pytest.mark.usefixtures("cipher")
async def test_every_check_is_tested() -> None:
    if connection().capabilities.dialect == "postgres":
        rows = await connection().execute_query_dict(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        )
        names = {row["conname"] for row in rows}
    else:
        rows = await connection().execute_query_dict("SELECT sql FROM sqlite_master WHERE type = 'table'")
        names = {name for row in rows for name in re.findall(r"CONSTRAINT (\w+) CHECK", row["sql"])}
    assert names == {name for name, _, _ in CHECKS} | {name for name, _ in INSERTS}


async def test_a_letter_has_one_delivery_of_each_occasion(ledger: Ledger) -> None:
    first = await ledger.add(Status.SCHEDULED, NOW)
    with pytest.raises(IntegrityError):
        await first.clone(pk=None).update_from_dict({"message_id": "<another@example.org>"}).save()


async def test_unique_columns_refuse_duplicates(ledger: Ledger) -> None:
    one, other = [await _row(ledger, Status.SENT) for _ in range(2)]
    with pytest.raises(IntegrityError):
        await Delivery.filter(id=other.id).update(message_id=one.message_id)
    (letter, _) = await Letter.all()
    with pytest.raises(IntegrityError):
        await Letter.all().update(token_hash=letter.token_hash)
    with pytest.raises(IntegrityError):
        await (await Attempt.all().first()).clone(pk=None).save()  # type: ignore[union-attr]


async def test_referenced_rows_cannot_be_deleted(ledger: Ledger) -> None:
    sent, claimed = await _row(ledger, Status.SENT), await _row(ledger, Status.CLAIMED)
    leading = await new_worker()
    await connection().execute_query(f"UPDATE leases SET worker_id = '{leading}'")
    for rows in (
        Letter.filter(id=sent.letter_id).delete(),
        Delivery.filter(id=sent.id).delete(),
        Worker.filter(id=claimed.claimed_by_id).delete(),
        Worker.filter(id=leading).delete(),
    ):
        with pytest.raises(IntegrityError):
            await rows


async def test_foreign_keys_must_exist(ledger: Ledger) -> None:
    await _row(ledger, Status.SENT)
    await _row(ledger, Status.CLAIMED)
    for statement in (
        f"UPDATE deliveries SET letter_id = {UNKNOWN}",
        f"UPDATE deliveries SET claimed_by_id = {UNKNOWN} WHERE status = 'claimed'",
        f"UPDATE leases SET worker_id = {UNKNOWN}",
        "UPDATE attempts SET delivery_id = 999",
    ):
        with pytest.raises(IntegrityError):
            await connection().execute_query(statement)
