"""Purging old letters, erasing one at its writer's request (docs/standards.md P14), and reclaiming disk space.

The sealed columns and the mail servers' replies are removed; the row stays with its dates and
hashes, so that the ledger adds up.
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.expressions import Q

from app.domain.status import HeldReason, Status
from app.errors import BeingSent
from app.store.cipher import LETTER_COLUMNS
from app.store.database import as_parameter, connection, empty_write_ahead_log, transaction
from app.store.execution import retried
from app.store.letters import letter_by_token
from app.store.models import Attempt, Delivery, Letter
from app.store.posting import lowest_row_id
from app.store.sql import lock_deliveries, numbered

_BATCH = 500
_UNUSED_LIMIT = 0.25
_VACUUM_TIMEOUT = 86_400.0  # seconds
_WAITING = (Status.SCHEDULED, Status.HELD, Status.FAILED)
_AMONG = {
    "sqlite": "SELECT value FROM json_each(@1)",
    "postgres": "SELECT value::uuid FROM jsonb_array_elements_text(@1::jsonb)",
}
_ENDED = (Status.SENT, Status.FAILED, Status.CANCELLED)
_PURGE = """
    UPDATE letters SET purged_at = @2, {columns}
    WHERE id IN ({among}) AND purged_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE letter_id = letters.id
        AND (status NOT IN ('sent', 'failed', 'cancelled') OR status_at > @3)
    )
    RETURNING id
"""
# The unused part of the file, not counting one page of each table and index, which each of them needs.
_UNUSED = """
    SELECT (SUM(MAX(unused - page_size, 0)) + freelist_count * page_size) / (1.0 * page_count * page_size) AS part
    FROM dbstat, pragma_page_size, pragma_freelist_count, pragma_page_count WHERE aggregate = TRUE
"""


async def purge(now: datetime, keep: timedelta, limit: int = _BATCH) -> AsyncIterator[int]:
    """Purge all letters whose last delivery ended `keep` ago or longer, except those held or uncertain in part.

    One transaction for each `limit` letters examined, oldest first; yields how many it purged.
    """
    last, horizon = UUID(int=0), lowest_row_id(now - keep)
    while ids := await _unpurged(last, horizon, limit):
        last = ids[-1]
        yield await _purge(ids, now, now - keep)


async def _unpurged(after: UUID, horizon: UUID, limit: int) -> list[UUID]:
    kept = Letter.filter(purged_at=None, id__gt=after, id__lte=horizon).order_by("id").limit(limit)
    return [letter_id for (letter_id,) in await kept.values_list("id")]


@retried
async def _purge(ids: Sequence[UUID], now: datetime, ended_before: datetime) -> int:
    id_list, among = json.dumps([str(each) for each in ids]), _AMONG[connection().capabilities.dialect]
    columns = ", ".join(f"{column}_sealed = NULL" for column in LETTER_COLUMNS)
    sql = numbered(_PURGE.format(columns=columns, among=among))
    async with transaction() as transacted:
        # An ended delivery may be scheduled again at any moment until it is locked.
        await lock_deliveries(Delivery.filter(letter_id__in=ids, status__in=_ENDED).only("id"))
        moments = [as_parameter(now), as_parameter(ended_before)]
        purged = await transacted.execute_query_dict(sql, [id_list, *moments])
        await _clear_replies([UUID(str(row["id"])) for row in purged])
    return len(purged)


@retried
async def erase(token: str, now: datetime) -> list[str]:
    """Cancel the deliveries of a letter that were not sent, and purge it at once.

    Returns the Message-IDs of its mails, so that other copies of ours can be found. Raises
    LetterNotFound, and BeingSent while one is claimed; nothing has changed then.
    """
    letter = await letter_by_token(token)
    deliveries = Delivery.filter(letter_id=letter.id)
    async with transaction():
        await lock_deliveries(Delivery.filter(letter_id=letter.id))
        # Deliveries that the reader stopped get a new `status_at`, so that the stop cannot be taken back.
        waiting = deliveries.filter(Q(status=Status.CANCELLED, status_at=letter.stopped_at) | Q(status__in=_WAITING))
        await waiting.update(status=Status.CANCELLED, status_at=now, held_reason=None)
        # An uncertain one can no longer be sent again, or settled by a mail server's log.
        await deliveries.filter(status=Status.UNCERTAIN).update(status=Status.FAILED, status_at=now)
        if await deliveries.filter(status=Status.CLAIMED).exists():
            raise BeingSent("this letter is being handed over at this moment")
        sealed = dict.fromkeys((f"{column}_sealed" for column in LETTER_COLUMNS), None)
        await Letter.filter(id=letter.id).update(purged_at=now, **sealed)
        await _clear_replies([letter.id])
    return [message_id for (message_id,) in await deliveries.values_list("message_id")]


async def _clear_replies(letter_ids: Sequence[UUID]) -> None:
    ids = [delivery_id for (delivery_id,) in await Delivery.filter(letter_id__in=letter_ids).values_list("id")]
    await Attempt.filter(delivery_id__in=ids).update(answer="")


_ATTEMPT_BATCH = 500
# Those held by the operator stay for the operator.
_EXPIRING = (HeldReason.BLOCKED, HeldReason.FIRST_REFUSED, HeldReason.UNDELIVERABLE, HeldReason.QUOTA)


async def cancel_expired_holds(now: datetime, keep: timedelta, limit: int = _ATTEMPT_BATCH) -> AsyncIterator[int]:
    """Cancel overdue deliveries that have been held for `keep`: blocked, refused or over quota.

    Otherwise their letters could never be purged. Yields how many, a transaction for each `limit`.
    """
    before = now - keep
    expired = Delivery.filter(
        status=Status.HELD, held_reason__in=_EXPIRING, status_at__lte=before, due_at__lte=before
    ).order_by("status_at", "id")
    while ids := [each for (each,) in await expired.limit(limit).values_list("id")]:
        still = Delivery.filter(id__in=ids, status=Status.HELD, held_reason__in=_EXPIRING)
        async with transaction():
            yield await still.update(status=Status.CANCELLED, status_at=now, held_reason=None)


async def drop_attempts(now: datetime, keep: timedelta, limit: int = _ATTEMPT_BATCH) -> AsyncIterator[int]:
    """Delete the attempts of purged letters that ended `keep` ago or longer; their counts stay.

    Yields how many, a transaction for each `limit` examined, oldest first.
    """
    last = 0
    while batch := await Attempt.filter(id__gt=last).order_by("id").limit(limit).values("id", "ended_at"):
        old = [attempt["id"] for attempt in batch if attempt["ended_at"] <= now - keep]
        last = batch[-1]["id"]
        if not old:
            return
        purged = Attempt.filter(id__in=old).exclude(delivery__letter__purged_at=None)
        ids = [attempt_id for (attempt_id,) in await purged.values_list("id")]
        async with transaction():
            yield await Attempt.filter(id__in=ids).delete()


async def vacuum() -> None:
    client = connection()
    if client.capabilities.dialect == "sqlite":
        await client.execute_query("VACUUM")
        await empty_write_ahead_log()
    else:
        async with client.acquire_connection() as driver:
            await driver.execute("VACUUM (ANALYZE)", timeout=_VACUUM_TIMEOUT)


async def vacuum_if_worth_it() -> bool:
    """Rewrite SQLite's file where a quarter of it is unused; return whether it was.

    A purged letter leaves its page half empty, and new rows go behind the last one, so auto_vacuum
    would gain nothing. PostgreSQL fills the gaps itself.
    """
    if connection().capabilities.dialect != "sqlite":
        return False
    worth_it: bool = (await connection().execute_query_dict(_UNUSED))[0]["part"] > _UNUSED_LIMIT
    if worth_it:
        await vacuum()
    return worth_it
