"""How a claim ends: one function for each edge out of `claimed`, and `settle`, which records them.

Every ending is fenced by its claim's token: a row that no longer carries it is left alone, and
`settle` tells which ones were.
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
from app.store.sqlite import OurSqlite, as_kept

_ANSWER_LIMIT = 500


class AttemptRecord(NamedTuple):
    """What happened while a delivery was carried. `reply` is None where the server said nothing.

    `reason` is what was judged of a refusal.
    """

    started_at: datetime
    handed_over_at: datetime | None
    ended_at: datetime
    reply: Reply | None
    remark: str = ""
    reason: Reason | None = None


class Outcome(NamedTuple):
    """A claim's end: the state it goes to, and what is written beside it."""

    claimed: Claimed
    status: Status
    at: datetime
    due_at: datetime | None = None
    held_reason: HeldReason | None = None
    outcome: AttemptResult | None = None
    tried: AttemptRecord | None = None
    undeliverable: bool = False
    notice: Delivery | None = None
    begun: bool = True


def sent(claimed: Claimed, tried: AttemptRecord) -> Outcome:
    """The server accepted it."""
    return Outcome(claimed, Status.SENT, tried.ended_at, outcome=AttemptResult.ACCEPTED, tried=tried)


def refused_for_now(claimed: Claimed, tried: AttemptRecord, due_at: datetime) -> Outcome:
    """Refused, or dropped before the hand-over; tried again at `due_at`. This is charged."""
    return Outcome(claimed, Status.SCHEDULED, tried.ended_at, due_at, outcome=AttemptResult.TRANSIENT, tried=tried)


def refused_for_good(
    claimed: Claimed, tried: AttemptRecord, *, undeliverable: bool = False, notice: Delivery | None = None
) -> Outcome:
    """Refused for ever, or for too long. `undeliverable`: nobody is to write there again."""
    return Outcome(
        claimed,
        Status.FAILED,
        tried.ended_at,
        outcome=AttemptResult.PERMANENT,
        tried=tried,
        undeliverable=undeliverable,
        notice=notice,
    )


def unanswered(claimed: Claimed, tried: AttemptRecord, due_at: datetime) -> Outcome:
    """Handed over, and the answer never came; where the policy resends, it does so at `due_at`."""
    return Outcome(claimed, Status.UNCERTAIN, tried.ended_at, due_at, outcome=AttemptResult.UNANSWERED, tried=tried)


def given_back(claimed: Claimed, now: datetime, due_at: datetime | None = None) -> Outcome:
    """Nobody's fault and not charged: an outage, a rate, or stopping. Without `due_at` it keeps its place in line."""
    return Outcome(claimed, Status.SCHEDULED, now, due_at)


def never_begun(claimed: Claimed, now: datetime) -> Outcome:
    """Claimed, and there was no room for it, or we stop: as if nobody had looked at it."""
    return Outcome(claimed, Status.SCHEDULED, now, begun=False)


def held_back(claimed: Claimed, now: datetime, reason: HeldReason, notice: Delivery | None = None) -> Outcome:
    """Not even tried: a person must look at it first."""
    return Outcome(claimed, Status.HELD, now, held_reason=reason, notice=notice)


def plain(ending: Outcome) -> Outcome:
    """Return an ending without what may not fit: the server's words and what follows for others."""
    tried = ending.tried and ending.tried._replace(reply=None, remark="")
    return ending._replace(tried=tried, undeliverable=False, notice=None)


@retried
async def settle(endings: Sequence[Outcome], worker_name: str, quotas: Quotas | None = None) -> set[int]:
    """Record how claims ended, with their attempts and what follows, all or nothing.

    Returns the ids of those that were still ours; nothing was changed of the others.
    """
    rows = [_row(ending, worker_name) for ending in endings]
    if not any(ending.status is Status.FAILED or ending.notice for ending in endings):
        return await write_rows(statements().settle, rows)
    async with transaction():
        settled = await write_rows(statements().settle, rows)
        ours = [ending for ending in endings if ending.claimed.id in settled]
        failed = [ending for ending in ours if ending.status is Status.FAILED]
        if failed:
            await _follow_failures(failed)
        if quotas:
            await _drop_excess(ours, quotas)
        notices = [ending.notice for ending in ours if ending.notice]
        if notices:
            await _tell_writers(notices)
    return settled


async def _follow_failures(failed: Sequence[Outcome]) -> None:
    """Remember dead addresses, and hold the second delivery where the first was refused."""
    dead = {_address_hmac(ending.claimed): ending.at for ending in failed if ending.undeliverable}
    # In order: two processes that wrote them crosswise would stop one another.
    addresses = [UndeliverableAddress(address_hmac=address_hmac, since=at) for address_hmac, at in sorted(dead.items())]
    await UndeliverableAddress.bulk_create(addresses, ignore_conflicts=True)
    refused = [ending.claimed.letter["id"] for ending in failed if ending.claimed.occasion is Occasion.FIRST]
    if refused:
        seconds = Delivery.filter(letter_id__in=refused, occasion=Occasion.SECOND, status=Status.SCHEDULED)
        await seconds.update(status=Status.HELD, status_at=failed[-1].at, held_reason=HeldReason.FIRST_REFUSED)


async def _drop_excess(endings: Sequence[Outcome], quotas: Quotas) -> None:
    """Cancel the notices to writers who have had a day's; the letter's own page tells of the refusal, too."""
    told = [(ending.notice, ending.claimed.letter["sender_hmac"]) for ending in endings if ending.notice]
    if told:
        may = await quotas.take_notices([address_hmac for _, address_hmac in told], told[-1][0].status_at)
        for (notice, _), sent in zip(told, may, strict=True):
            notice.status = notice.status if sent else Status.CANCELLED


async def _tell_writers(notices: Sequence[Delivery]) -> None:
    """Add notices of refusals, one for each address that a letter was given, however often that one refuses it.

    Nobody corrects an address while its letter is claimed, so it is the one that was refused.
    """
    corrections = Correction.filter(letter_id__in=[notice.letter_id for notice in notices])
    corrected = Counter(letter_id for (letter_id,) in await corrections.values_list("letter_id"))
    for notice in notices:
        notice.edition = 1 + corrected[notice.letter_id]
    await Delivery.bulk_create(notices, ignore_conflicts=True)


def _address_hmac(claimed: Claimed) -> str:
    """Return what the address is known by that a delivery goes to."""
    address_hmac: str = claimed.letter[f"{claimed.addressee}_hmac"]
    return address_hmac


def _row(ending: Outcome, worker_name: str) -> tuple[Any, ...]:
    """Return what is written of an ending, and of its attempt if there was one, in the order of `settle`."""
    tried = ending.tried
    reply = tried.reply if tried else None
    return (
        ending.claimed.id,
        ending.claimed.token,
        ending.status.value,
        ending.at,
        ending.due_at,
        ending.held_reason and ending.held_reason.value,
        ending.outcome and ending.outcome.value,
        worker_name,
        tried and tried.started_at,
        tried and tried.handed_over_at,
        reply and reply.code,
        reply.enhanced[:16] if reply else "",
        redacted(reply.text if reply else tried.remark)[:_ANSWER_LIMIT] if tried else "",
        tried and tried.reason and tried.reason.value,
    )


_as_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), default=as_kept).encode


async def write_rows(statements: Sequence[str], rows: Sequence[Sequence[Any]]) -> set[int]:
    """Write rows, all or nothing, and return the ids that the last statement returns."""
    if not rows:
        return set()
    client = connection()
    if isinstance(client, OurSqlite):
        found: set[int] = await client.write_group(statements, [_as_json(rows)])
        return found
    (statement,) = statements
    columns = [list(column) for column in zip(*rows, strict=True)]
    return {row["id"] for row in await client.execute_query_dict(statement, columns)}
