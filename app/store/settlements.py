"""The outcomes of claims: one function for each transition out of `claimed`, and `settle`, which records them.

Every outcome is fenced by its claim's token: `settle` leaves rows alone that no longer have it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from app.domain.address import redacted
from app.domain.refusal import Reason
from app.domain.retry import Reply
from app.domain.status import AttemptResult, HeldReason, Occasion, Status
from app.store.claims import Claimed
from app.store.database import connection, transaction
from app.store.execution import retried
from app.store.models import Correction, Delivery, UndeliverableAddress
from app.store.quotas import Quotas
from app.store.sql import statements
from app.store.sqlite import PatchedSqlite, json_default

_REPLY_LIMIT = 500


class AttemptRecord(NamedTuple):
    """`reply` is None where the server sent none; `reason` classifies a refusal."""

    started_at: datetime
    handed_over_at: datetime | None
    ended_at: datetime
    reply: Reply | None
    remark: str = ""
    reason: Reason | None = None


class Outcome(NamedTuple):
    """The next state of a claimed delivery, and what is recorded with it. `started`: it was not merely claimed."""

    claimed: Claimed
    status: Status
    at: datetime
    due_at: datetime | None = None
    held_reason: HeldReason | None = None
    result: AttemptResult | None = None
    attempt: AttemptRecord | None = None
    undeliverable: bool = False
    notice: Delivery | None = None
    started: bool = True


def sent(claimed: Claimed, attempt: AttemptRecord) -> Outcome:
    return Outcome(claimed, Status.SENT, attempt.ended_at, result=AttemptResult.ACCEPTED, attempt=attempt)


def transient_failure(claimed: Claimed, attempt: AttemptRecord, due_at: datetime) -> Outcome:
    return Outcome(claimed, Status.SCHEDULED, attempt.ended_at, due_at, result=AttemptResult.TRANSIENT, attempt=attempt)


def permanent_failure(
    claimed: Claimed, attempt: AttemptRecord, *, undeliverable: bool = False, notice: Delivery | None = None
) -> Outcome:
    """`undeliverable`: later deliveries to this address are held."""
    return Outcome(
        claimed,
        Status.FAILED,
        attempt.ended_at,
        result=AttemptResult.PERMANENT,
        attempt=attempt,
        undeliverable=undeliverable,
        notice=notice,
    )


def unanswered(claimed: Claimed, attempt: AttemptRecord, due_at: datetime) -> Outcome:
    """Handed over without a reply; where the policy resends, it does so at `due_at`."""
    return Outcome(
        claimed, Status.UNCERTAIN, attempt.ended_at, due_at, result=AttemptResult.UNANSWERED, attempt=attempt
    )


def given_back(claimed: Claimed, now: datetime, due_at: datetime | None = None) -> Outcome:
    """Not counted as an attempt: an outage, a rate limit, or stopping. Without `due_at` it keeps its place."""
    return Outcome(claimed, Status.SCHEDULED, now, due_at)


def not_started(claimed: Claimed, now: datetime) -> Outcome:
    return Outcome(claimed, Status.SCHEDULED, now, started=False)


def held_back(claimed: Claimed, now: datetime, reason: HeldReason, notice: Delivery | None = None) -> Outcome:
    return Outcome(claimed, Status.HELD, now, held_reason=reason, notice=notice)


def without_details(outcome: Outcome) -> Outcome:
    """Drop what the database may refuse: the server's reply, and changes to other rows."""
    attempt = outcome.attempt and outcome.attempt._replace(reply=None, remark="")
    return outcome._replace(attempt=attempt, undeliverable=False, notice=None)


@retried
async def settle(outcomes: Sequence[Outcome], worker_name: str, quotas: Quotas | None = None) -> set[int]:
    """Record outcomes with their attempts, notices and changes to other deliveries, all or nothing.

    Returns the ids of the deliveries whose claims were still valid; the others are unchanged.
    """
    rows = [_row(outcome, worker_name) for outcome in outcomes]
    if not any(outcome.status is Status.FAILED or outcome.notice for outcome in outcomes):
        return await write_rows(statements().settle, rows)
    async with transaction():
        settled = await write_rows(statements().settle, rows)
        settled_outcomes = [outcome for outcome in outcomes if outcome.claimed.id in settled]
        failed = [outcome for outcome in settled_outcomes if outcome.status is Status.FAILED]
        if failed:
            await _apply_failures(failed)
        if quotas:
            await _limit_notices(settled_outcomes, quotas)
        notices = [outcome.notice for outcome in settled_outcomes if outcome.notice]
        if notices:
            await _add_notices(notices)
    return settled


async def _apply_failures(failed: Sequence[Outcome]) -> None:
    undeliverable = {_address_hmac(outcome.claimed): outcome.at for outcome in failed if outcome.undeliverable}
    # In order: two processes that write the same addresses in different orders would deadlock.
    addresses = [
        UndeliverableAddress(address_hmac=address_hmac, since=at) for address_hmac, at in sorted(undeliverable.items())
    ]
    await UndeliverableAddress.bulk_create(addresses, ignore_conflicts=True)
    refused = [outcome.claimed.letter["id"] for outcome in failed if outcome.claimed.occasion is Occasion.FIRST]
    if refused:
        seconds = Delivery.filter(letter_id__in=refused, occasion=Occasion.SECOND, status=Status.SCHEDULED)
        await seconds.update(status=Status.HELD, status_at=failed[-1].at, held_reason=HeldReason.FIRST_REFUSED)


async def _limit_notices(outcomes: Sequence[Outcome], quotas: Quotas) -> None:
    noticed = [(outcome.notice, outcome.claimed.letter["sender_hmac"]) for outcome in outcomes if outcome.notice]
    if noticed:
        allowed = await quotas.take_notices([address_hmac for _, address_hmac in noticed], noticed[-1][0].status_at)
        for (notice, _), is_allowed in zip(noticed, allowed, strict=True):
            notice.status = notice.status if is_allowed else Status.CANCELLED


async def _add_notices(notices: Sequence[Delivery]) -> None:
    """Add notices of refusals, at most one for each address that a letter was given.

    An address cannot be corrected while its letter is claimed, so the current one was refused.
    """
    corrections = Correction.filter(letter_id__in=[notice.letter_id for notice in notices])
    corrected = Counter(letter_id for (letter_id,) in await corrections.values_list("letter_id"))
    for notice in notices:
        notice.edition = 1 + corrected[notice.letter_id]
    await Delivery.bulk_create(notices, ignore_conflicts=True)


def _address_hmac(claimed: Claimed) -> str:
    address_hmac: str = claimed.letter[f"{claimed.addressee}_hmac"]
    return address_hmac


def _row(outcome: Outcome, worker_name: str) -> tuple[Any, ...]:
    """Return the values of an outcome and its attempt in the order of `sql._OUTCOME_COLUMNS`."""
    attempt = outcome.attempt
    reply = attempt.reply if attempt else None
    return (
        outcome.claimed.id,
        outcome.claimed.token,
        outcome.status.value,
        outcome.at,
        outcome.due_at,
        outcome.held_reason and outcome.held_reason.value,
        outcome.result and outcome.result.value,
        worker_name,
        attempt and attempt.started_at,
        attempt and attempt.handed_over_at,
        reply and reply.code,
        reply.enhanced[:16] if reply else "",
        redacted(reply.text if reply else attempt.remark)[:_REPLY_LIMIT] if attempt else "",
        attempt and attempt.reason and attempt.reason.value,
    )


_to_json = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), default=json_default
).encode


async def write_rows(statements: Sequence[str], rows: Sequence[Sequence[Any]]) -> set[int]:
    """Write rows, all or nothing; return the ids that the last statement returns."""
    if not rows:
        return set()
    client = connection()
    if isinstance(client, PatchedSqlite):
        ids: set[int] = await client.write_group(statements, [_to_json(rows)])
        return ids
    (statement,) = statements
    columns = [list(column) for column in zip(*rows, strict=True)]
    return {row["id"] for row in await client.execute_query_dict(statement, columns)}
