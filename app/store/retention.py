"""Forgetting letters: by the calendar, and at once on their writer's word (docs/standards.md P14).

What was sealed goes, and what mail servers answered; the row stays with its dates and hashes, so
that the ledger adds up.
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.expressions import Q

from app.domain.status import HeldReason, Status
from app.errors import BeingSent
from app.store.cipher import LETTER_COLUMNS
from app.store.database import as_parameter, connection, transaction
from app.store.execution import retried
from app.store.letters import letter_by_token
from app.store.models import Attempt, Delivery, Letter
from app.store.row_ids import lowest_row_id
from app.store.sql import lock_deliveries, numbered

_BATCH = 500
_WAITING = (Status.SCHEDULED, Status.HELD, Status.FAILED)
_AMONG = {
    "sqlite": "SELECT value FROM json_each(@1)",
    "postgres": "SELECT wanted::uuid FROM jsonb_array_elements_text(@1::jsonb) AS wanted",
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


async def purge(now: datetime, keep: timedelta, limit: int = _BATCH) -> AsyncIterator[int]:
    """Forget all letters whose last delivery ended `keep` ago or longer.

    A transaction for each `limit` letters that are looked at, oldest first; yields how many of them
    were forgotten. A letter of which anything is held or uncertain is kept until somebody decides.
    """
    last, horizon = UUID(int=0), lowest_row_id(now - keep)
    while ids := await _kept(last, horizon, limit):
        last = ids[-1]
        yield await _purge(ids, now, now - keep)


async def _kept(after: UUID, horizon: UUID, limit: int) -> list[UUID]:
    """Return the next letters that were written long enough ago; their ids are in that order."""
    kept = Letter.filter(purged_at=None, id__gt=after, id__lte=horizon).order_by("id").limit(limit)
    return [letter_id for (letter_id,) in await kept.values_list("id")]


@retried
async def _purge(ids: Sequence[UUID], now: datetime, ended_before: datetime) -> int:
    wanted, among = json.dumps([str(each) for each in ids]), _AMONG[connection().capabilities.dialect]
    columns = ", ".join(f"{column}_sealed = NULL" for column in LETTER_COLUMNS)
    sql = numbered(_PURGE.format(columns=columns, among=among))
    async with transaction() as whole:
        # A delivery that has ended may be scheduled again at this moment, but not once it is locked.
        await lock_deliveries(Delivery.filter(letter_id__in=ids, status__in=_ENDED).only("id"))
        moments = [as_parameter(now), as_parameter(ended_before)]
        purged = await whole.execute_query_dict(sql, [wanted, *moments])
        await _empty_answers([UUID(str(row["id"])) for row in purged])
    return len(purged)


@retried
async def erase(token: str, now: datetime) -> list[str]:
    """Cancel what has not left of a letter, and forget it at once.

    Returns the Message-IDs of its mails, so that other copies of ours can be found. Raises
    LetterNotFound, and BeingSent while a mail is being handed over; nothing has happened then.
    """
    letter = await letter_by_token(token)
    deliveries = Delivery.filter(letter_id=letter.id)
    async with transaction():
        await lock_deliveries(Delivery.filter(letter_id=letter.id))
        # What its reader stopped is cancelled anew: nobody takes that stop back any more.
        waiting = deliveries.filter(Q(status=Status.CANCELLED, status_at=letter.stopped_at) | Q(status__in=_WAITING))
        await waiting.update(status=Status.CANCELLED, status_at=now, held_reason=None)
        # It cannot be sent again, and nobody will look for it in a mail server's log any more.
        await deliveries.filter(status=Status.UNCERTAIN).update(status=Status.FAILED, status_at=now)
        if await deliveries.filter(status=Status.CLAIMED).exists():
            raise BeingSent("this letter is being handed over at this moment")
        sealed = dict.fromkeys((f"{column}_sealed" for column in LETTER_COLUMNS), None)
        await Letter.filter(id=letter.id).update(purged_at=now, **sealed)
        await _empty_answers([letter.id])
    return [message_id for (message_id,) in await deliveries.values_list("message_id")]


async def _empty_answers(letter_ids: Sequence[UUID]) -> None:
    """Take away what mail servers said: it may quote a letter."""
    ids = [delivery_id for (delivery_id,) in await Delivery.filter(letter_id__in=letter_ids).values_list("id")]
    await Attempt.filter(delivery_id__in=ids).update(answer="")


_ATTEMPT_BATCH = 500
# Not what the operator held: that is theirs to take back.
_DECIDED = (HeldReason.BLOCKED, HeldReason.FIRST_REFUSED, HeldReason.UNDELIVERABLE, HeldReason.QUOTA)


async def cancel_hopeless(now: datetime, keep: timedelta, limit: int = _ATTEMPT_BATCH) -> AsyncIterator[int]:
    """Cancel what was due and has been held for `keep`: unwanted by its reader or their server, or beyond a quota.

    Only so can its letter be forgotten one day. Yields how many, a transaction for each `limit`.
    """
    before = now - keep
    hopeless = Delivery.filter(
        status=Status.HELD, held_reason__in=_DECIDED, status_at__lte=before, due_at__lte=before
    ).order_by("status_at", "id")
    while ids := [found for (found,) in await hopeless.limit(limit).values_list("id")]:
        still = Delivery.filter(id__in=ids, status=Status.HELD, held_reason__in=_DECIDED)
        async with transaction():
            yield await still.update(status=Status.CANCELLED, status_at=now, held_reason=None)


async def drop_attempts(now: datetime, keep: timedelta, limit: int = _ATTEMPT_BATCH) -> AsyncIterator[int]:
    """Drop the attempts that ended `keep` ago or longer of letters that are forgotten; their counts stay.

    Yields how many, a transaction for each `limit` that are looked at, oldest first.
    """
    last = 0
    while found := await Attempt.filter(id__gt=last).order_by("id").limit(limit).values("id", "ended_at"):
        old = [attempt["id"] for attempt in found if attempt["ended_at"] <= now - keep]
        last = found[-1]["id"]
        if not old:
            return
        forgotten = Attempt.filter(id__in=old).exclude(delivery__letter__purged_at=None)
        ids = [attempt_id for (attempt_id,) in await forgotten.values_list("id")]
        async with transaction():
            yield await Attempt.filter(id__in=ids).delete()
