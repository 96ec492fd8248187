"""SQL that a queryset cannot express, for each database side by side.

States are literals, not parameters: with a parameter PostgreSQL's generic plan does not use the
partial indexes.
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
"""Of a row of `attempts`; empty where the server sent no reply."""
REPLY_OR_RESULT = f"COALESCE(NULLIF({REPLY_TEXT}, ''), outcome)"


@dataclass(frozen=True, slots=True)
class Statements:
    claim: str
    open_claims: str
    hand_over: str
    settle: Sequence[str]
    lock_worker: str


_ATTEMPT = (
    "delivery_id, claim_token, worker_name, started_at, handed_over_at, ended_at, outcome, code, enhanced, answer, "
    "reason"
)
_ADDRESSEE = "CASE WHEN notice THEN COALESCE(sender_hmac, recipient_hmac) ELSE recipient_hmac END"
# Claimed deliveries with their letters; `id` is the letter's. Without an order: SQLite would sort whole letters,
# which costs as much as finding them.
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
                SELECT {reply} FROM attempts JOIN deliveries AS first ON first.id = delivery_id
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
        WHERE deliveries.id {ids}
"""

# The values of an outcome, in this order; see `settlements.settle`.
_OUTCOME_COLUMNS = """
    id, token, status, at, due_at, held_reason, outcome,
    worker_name, started_at, handed_over_at, code, enhanced, answer, reason
"""
_SETTLE = """
        UPDATE deliveries
        SET status = outcomes.status, status_at = outcomes.at, due_at = COALESCE(outcomes.due_at, deliveries.due_at),
            sent_at = CASE WHEN outcomes.status = 'sent' THEN outcomes.at END, held_reason = outcomes.held_reason,
            attempts = attempts + CASE WHEN outcomes.outcome IS NOT NULL THEN 1 ELSE 0 END,
            unanswered = unanswered + CASE WHEN outcomes.outcome = 'unanswered' THEN 1 ELSE 0 END,
            first_refused_at = COALESCE(
                first_refused_at, CASE WHEN outcomes.outcome = 'transient' THEN outcomes.at END
            ),
            claim_token = NULL, claimed_by_id = NULL, handed_over_at = NULL
        FROM outcomes
        WHERE deliveries.id = outcomes.id AND deliveries.status = 'claimed' AND claim_token = outcomes.token
        RETURNING deliveries.id
"""
_INSERT_ATTEMPTS = f"""
        INSERT INTO attempts ({_ATTEMPT})
        SELECT outcomes.id, token, worker_name, started_at, outcomes.handed_over_at, at, outcome, code, enhanced,
            answer, reason
        FROM outcomes
"""
# The rows are an array of arrays in JSON; MATERIALIZED parses each once.
_OUTCOMES_ON_SQLITE = f"""
        WITH outcomes ({_OUTCOME_COLUMNS}) AS MATERIALIZED (
            SELECT {", ".join(f"value ->> {at}" for at in range(_OUTCOME_COLUMNS.count(",") + 1))} FROM json_each(?)
        )
"""
# `{kind}` is `notice` or `NOT notice`; each has its own partial index.
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
    open_claims=_CLAIMED.format(addressee=_ADDRESSEE, reply=REPLY_TEXT, ids="IN (SELECT value FROM json_each(?))"),
    hand_over="""
        UPDATE deliveries SET handed_over_at = ?
        WHERE id IN (SELECT value FROM json_each(?)) AND status = 'claimed' AND claim_token = ?
        RETURNING id
    """,
    # The attempts first, while the claims' tokens can still be compared.
    settle=(
        f"""
        {_OUTCOMES_ON_SQLITE} {_INSERT_ATTEMPTS} CROSS JOIN deliveries ON deliveries.id = outcomes.id
        WHERE deliveries.status = 'claimed' AND deliveries.claim_token = token AND outcome IS NOT NULL
        """,
        f"{_OUTCOMES_ON_SQLITE} {_SETTLE}",
    ),
    # A write, so that the transaction holds the write lock before it reads (SQLite begins deferred).
    lock_worker="UPDATE workers SET beat = beat WHERE id = ? AND beat = ? RETURNING name",
)

POSTGRES = Statements(
    # An array, not a join: a generic plan estimates the LIMIT at a tenth of the table and would
    # scan all deliveries for a join; of an array it expects a few ids.
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
    open_claims=_CLAIMED.format(addressee=_ADDRESSEE, reply=REPLY_TEXT, ids="= ANY ($1::bigint[])"),
    hand_over="""
        UPDATE deliveries SET handed_over_at = $1
        WHERE id = ANY ($2::bigint[]) AND status = 'claimed' AND claim_token = $3
        RETURNING id
    """,
    settle=(
        f"""
        WITH outcomes AS (
            SELECT * FROM unnest(
                $1::bigint[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[],
                $8::text[], $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::text[], $13::text[],
                $14::text[]
            ) AS outcomes ({_OUTCOME_COLUMNS})
        ), settled AS (
            {_SETTLE}, token
        ), inserted AS (
            {_INSERT_ATTEMPTS} JOIN settled USING (id, token) WHERE outcome IS NOT NULL
        )
        SELECT id FROM settled
        """,
    ),
    # FOR UPDATE also blocks the worker's own claims: their foreign key takes a share lock on this row.
    lock_worker="SELECT name FROM workers WHERE id = $1 AND beat = $2 FOR UPDATE",
)

UNCLAIM = """
    UPDATE deliveries SET status = 'scheduled', status_at = @1, claim_token = NULL, claimed_by_id = NULL
    WHERE claimed_by_id IS NOT NULL AND claim_token = @2 AND handed_over_at IS NULL
"""
RESEND = """
    UPDATE deliveries SET status = 'scheduled', status_at = @1
    WHERE status = 'uncertain' AND due_at <= @1 AND unanswered <= @2
        AND NOT EXISTS (
            SELECT 1 FROM deliveries AS sibling
            WHERE sibling.letter_id = deliveries.letter_id AND sibling.status = 'cancelled' AND NOT sibling.notice
        )
    RETURNING id
"""


def statements() -> Statements:
    return SQLITE if connection().capabilities.dialect == "sqlite" else POSTGRES


def numbered(sql: str) -> str:
    """Replace `@1` by the connected database's placeholder."""
    return sql.replace("@", "?" if connection().capabilities.dialect == "sqlite" else "$")


def as_uuid(value: UUID) -> Any:
    return str(value) if connection().capabilities.dialect == "sqlite" else value


def as_ids(values: Sequence[int]) -> Any:
    return json.dumps(values) if connection().capabilities.dialect == "sqlite" else values


# Changes nothing, but takes the write lock before the transaction reads (SQLite begins deferred).
_TAKE_WRITE_LOCK = "UPDATE leases SET term = term WHERE name = ''"


async def lock_deliveries(deliveries: QuerySet[Delivery]) -> list[Delivery]:
    """Lock deliveries until the transaction ends, and return their current rows.

    Always in the order of their ids, and before the letter's own row: two transactions that lock in
    different orders would deadlock. Later statements also see what the transactions that this one
    waited for changed in other tables.
    """
    if connection().capabilities.dialect == "sqlite":
        await connection().execute_query(_TAKE_WRITE_LOCK)
    return await deliveries.order_by("id").select_for_update()
