"""The ledger's own SQL: what a queryset cannot say, for each database side by side.

States are literals, not parameters: with a parameter PostgreSQL's generic plan does not use the
partial indexes. How a group of rows is written stands in `groups.py`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tortoise.queryset import QuerySet

from app.store.database import connection
from app.store.models import Delivery

REPLY_TEXT = """
    TRIM(COALESCE(code || ' ', '') || CASE WHEN enhanced <> '' THEN enhanced || ' ' ELSE '' END || answer)
"""
"""Of a row of `attempts`; empty where nothing was said."""
REPLY_OR_RESULT = f"COALESCE(NULLIF({REPLY_TEXT}, ''), outcome)"


@dataclass(frozen=True, slots=True)
class Statements:
    """One database's wording. See `deliveries.py` for what each one is for."""

    claim: str
    open_claims: str
    unclaim: str
    hand_over: str
    settle: Sequence[str]
    lock_worker: str
    resend: str


_ATTEMPT = (
    "delivery_id, claim_token, worker_name, started_at, handed_over_at, ended_at, outcome, code, enhanced, answer, "
    "reason"
)
_ADDRESSEE = "CASE WHEN notice THEN COALESCE(sender_hmac, recipient_hmac) ELSE recipient_hmac END"
# All that is known of claimed deliveries, with their letters; `{ours}` are their ids. The id of a row is its letter's.
# In no order: SQLite would carry whole letters through its sorter, which costs as much as finding them.
_CLAIMED = """
        SELECT letters.*, deliveries.id AS delivery_id, deliveries.occasion, deliveries.edition, deliveries.message_id,
            deliveries.due_at, deliveries.attempts, deliveries.first_refused_at, deliveries.domain_hmac,
            deliveries.claim_token, deliveries.status_at, deliveries.handed_over_at,
            CASE
                WHEN EXISTS (
                    SELECT 1 FROM blocked_addresses WHERE address_hmac = {addressee}
                ) OR (stopped_at IS NOT NULL AND NOT notice) THEN 'blocked'
                WHEN EXISTS (
                    SELECT 1 FROM undeliverable_addresses
                    WHERE address_hmac = {addressee}
                ) THEN 'undeliverable'
            END AS hold_reason,
            CASE WHEN deliveries.occasion = 'refusal' THEN (
                SELECT {said} FROM attempts JOIN deliveries AS first ON first.id = delivery_id
                WHERE first.letter_id = letters.id AND first.occasion = 'first'
                ORDER BY attempts.id DESC LIMIT 1
            ) END AS refusal,
            CASE WHEN deliveries.occasion = 'refusal' THEN (
                SELECT reason FROM attempts JOIN deliveries AS first ON first.id = delivery_id
                WHERE first.letter_id = letters.id AND first.occasion = 'first'
                ORDER BY attempts.id DESC LIMIT 1
            ) END AS refusal_reason,
            deliveries.occasion = 'refusal' AND EXISTS (
                SELECT 1 FROM deliveries AS first
                WHERE first.letter_id = letters.id AND first.occasion = 'first' AND first.held_reason = 'undeliverable'
            ) AS untried
        FROM deliveries JOIN letters ON letters.id = deliveries.letter_id
        WHERE deliveries.id {ours}
"""

# What is written of an ending, in this order.
_OUTCOME_COLUMNS = """
    id, token, status, at, due_at, held_reason, outcome,
    worker_name, started_at, handed_over_at, code, enhanced, answer, reason
"""
# The claim is over, if it was still ours.
_SETTLE = """
        UPDATE deliveries
        SET status = ended.status, status_at = ended.at, due_at = COALESCE(ended.due_at, deliveries.due_at),
            sent_at = CASE WHEN ended.status = 'sent' THEN ended.at END, held_reason = ended.held_reason,
            attempts = attempts + CASE WHEN ended.outcome IS NOT NULL THEN 1 ELSE 0 END,
            unanswered = unanswered + CASE WHEN ended.outcome = 'unanswered' THEN 1 ELSE 0 END,
            first_refused_at = COALESCE(first_refused_at, CASE WHEN ended.outcome = 'transient' THEN ended.at END),
            claim_token = NULL, claimed_by_id = NULL, handed_over_at = NULL
        FROM ended
        WHERE deliveries.id = ended.id AND deliveries.status = 'claimed' AND claim_token = ended.token
        RETURNING deliveries.id
"""
_INSERT_ATTEMPTS = f"""
        INSERT INTO attempts ({_ATTEMPT})
        SELECT ended.id, token, worker_name, started_at, ended.handed_over_at, at, outcome, code, enhanced, answer,
            reason
        FROM ended
"""
# A row is an array in an array of JSON, and each is taken apart once.
_OUTCOMES_ON_SQLITE = f"""
        WITH ended ({_OUTCOME_COLUMNS}) AS MATERIALIZED (
            SELECT {", ".join(f"value ->> {at}" for at in range(_OUTCOME_COLUMNS.count(",") + 1))} FROM json_each(?)
        )
"""
# `{kind}` is `notice` or `NOT notice`, each with a partial index of its own.
SQLITE = Statements(
    claim="""
        UPDATE deliveries
        SET status = 'claimed', status_at = ?, claim_token = ?, claimed_by_id = ?
        WHERE id IN (
            SELECT id FROM deliveries
            WHERE status = 'scheduled' AND {kind} AND due_at <= ?
                AND NOT EXISTS (SELECT 1 FROM pauses)
                AND domain_hmac NOT IN (SELECT value FROM json_each(?))
            ORDER BY due_at LIMIT ?
        )
        RETURNING id
    """,
    open_claims=_CLAIMED.format(addressee=_ADDRESSEE, said=REPLY_TEXT, ours="IN (SELECT value FROM json_each(?))"),
    unclaim="""
        UPDATE deliveries SET status = 'scheduled', status_at = ?, claim_token = NULL, claimed_by_id = NULL
        WHERE claimed_by_id IS NOT NULL AND claim_token = ? AND handed_over_at IS NULL
    """,
    hand_over="""
        UPDATE deliveries SET handed_over_at = ?
        WHERE id IN (SELECT value FROM json_each(?)) AND status = 'claimed' AND claim_token = ?
        RETURNING id
    """,
    # The attempts first, while it can be seen which claims are still ours.
    settle=(
        f"""
        {_OUTCOMES_ON_SQLITE} {_INSERT_ATTEMPTS} CROSS JOIN deliveries ON deliveries.id = ended.id
        WHERE deliveries.status = 'claimed' AND deliveries.claim_token = token AND outcome IS NOT NULL
        """,
        f"{_OUTCOMES_ON_SQLITE} {_SETTLE}",
    ),
    # A write, so that this transaction owns the database before it reads (SQLite begins deferred).
    lock_worker="UPDATE workers SET beat = beat WHERE id = ? AND beat = ? RETURNING name",
    resend="""
        UPDATE deliveries SET status = 'scheduled', status_at = ?
        WHERE status = 'uncertain' AND due_at <= ? AND unanswered <= ?
            AND NOT EXISTS (
                SELECT 1 FROM deliveries AS sibling
                WHERE sibling.letter_id = deliveries.letter_id AND sibling.status = 'cancelled' AND NOT sibling.notice
            )
        RETURNING id
    """,
)

POSTGRES = Statements(
    # An array, not a join: a generic plan takes the LIMIT for a tenth of the table and would join
    # it with a scan of all deliveries; of an array it expects a few ids.
    claim="""
        UPDATE deliveries
        SET status = 'claimed', status_at = $1, claim_token = $2, claimed_by_id = $3
        WHERE id = ANY (ARRAY (
            SELECT id FROM deliveries
            WHERE status = 'scheduled' AND {kind} AND due_at <= $4
                AND NOT EXISTS (SELECT 1 FROM pauses)
                AND NOT jsonb_exists($5::jsonb, domain_hmac)
            ORDER BY due_at LIMIT $6
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING id
    """,
    open_claims=_CLAIMED.format(addressee=_ADDRESSEE, said=REPLY_TEXT, ours="= ANY ($1::bigint[])"),
    unclaim="""
        UPDATE deliveries SET status = 'scheduled', status_at = $1, claim_token = NULL, claimed_by_id = NULL
        WHERE claimed_by_id IS NOT NULL AND claim_token = $2 AND handed_over_at IS NULL
    """,
    hand_over="""
        UPDATE deliveries SET handed_over_at = $1
        WHERE id = ANY ($2::bigint[]) AND status = 'claimed' AND claim_token = $3
        RETURNING id
    """,
    settle=(
        f"""
        WITH ended AS (
            SELECT * FROM unnest(
                $1::bigint[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[],
                $8::text[], $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::text[], $13::text[],
                $14::text[]
            ) AS ended ({_OUTCOME_COLUMNS})
        ), settled AS (
            {_SETTLE}, token
        ), tried AS (
            {_INSERT_ATTEMPTS} JOIN settled USING (id, token) WHERE outcome IS NOT NULL
        )
        SELECT id FROM settled
        """,
    ),
    # FOR UPDATE also stops the worker's own claims: their foreign key needs a share of this row.
    lock_worker="SELECT name FROM workers WHERE id = $1 AND beat = $2 FOR UPDATE",
    resend="""
        UPDATE deliveries SET status = 'scheduled', status_at = $1
        WHERE status = 'uncertain' AND due_at <= $2 AND unanswered <= $3
            AND NOT EXISTS (
                SELECT 1 FROM deliveries AS sibling
                WHERE sibling.letter_id = deliveries.letter_id AND sibling.status = 'cancelled' AND NOT sibling.notice
            )
        RETURNING id
    """,
)


def statements() -> Statements:
    """Return the wording of the connected database."""
    return SQLITE if connection().capabilities.dialect == "sqlite" else POSTGRES


def numbered(sql: str) -> str:
    """Write `@1` as the connected database does."""
    return sql.replace("@", "?" if connection().capabilities.dialect == "sqlite" else "$")


def as_uuid(value: UUID) -> Any:
    """Return a UUID as raw SQL takes it."""
    return str(value) if connection().capabilities.dialect == "sqlite" else value


def as_ids(values: Sequence[int]) -> Any:
    """Return ids of deliveries as raw SQL takes them together."""
    return json.dumps(values) if connection().capabilities.dialect == "sqlite" else values


# Changes nothing; but the transaction owns the database before it reads (SQLite begins deferred).
_FIRST_WRITE = "UPDATE leases SET term = term WHERE name = ''"


async def lock_deliveries(deliveries: QuerySet[Delivery]) -> list[Delivery]:
    """Lock deliveries until the transaction ends, and return them as they are now.

    Always in the order of their ids, and before the letter's own row: two transactions that lock in
    different orders would wait for each other, until PostgreSQL ends one of them. A statement that
    follows also sees what the transaction waited for changed in other tables.
    """
    if connection().capabilities.dialect == "sqlite":
        await connection().execute_query(_FIRST_WRITE)
    return await deliveries.order_by("id").select_for_update()
