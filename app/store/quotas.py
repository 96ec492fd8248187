"""How many letters are taken in a day, and notices sent: counted in the ledger, so that processes agree (P2)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from uuid import UUID

from app.domain.status import HeldReason, Status
from app.errors import Limit, LimitExceeded
from app.store.database import connection
from app.store.models import Confirmation, Correction, Delivery, Letter, QuotaCount
from app.store.posting import lowest_row_id
from app.store.sql import numbered

_DAY = timedelta(days=1)
_MINUTES = 24 * 60
_SHARE = 20
"""In the half of a quota that is shared out, one client has one part of so many."""
NETWORK_FACTOR = 4
"""How many times as much the next wider network of a client may have (/64, /56, /48)."""
_ALL = "all"
# A row that every letter changes first: until one is stored, the next waits. (A lock of its own, as in
# `one_at_a_time`, would be one more round trip in which all others wait.)
_FIRST = "('lock', 0, 1), "
_ADD = """
    INSERT INTO quota_counts (scope, minute, number) VALUES {first}{rows}
    ON CONFLICT (scope, minute) DO UPDATE SET number = quota_counts.number + excluded.number
"""
_SUMS = """
    SELECT scope, CAST(SUM(number) AS INT) AS number FROM quota_counts
    WHERE scope IN ({scopes}) AND minute > @1 GROUP BY scope
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


async def lock_addresses(*hmacs: str) -> None:
    """Take a lock on these addresses until the transaction ends. SQLite lets one transaction write at a time anyway.

    Locks are taken in one order, or two transactions could wait for each other: the quotas, then
    addresses, then deliveries, then notices to addresses.
    """
    if connection().capabilities.dialect == "postgres":
        for address_hmac in sorted(set(hmacs)):
            await connection().execute_query(_LOCK, [address_hmac])


@dataclass(frozen=True, slots=True)
class _Met:
    limit: Limit
    scope: str
    most: int
    counted: int


@dataclass(frozen=True, slots=True)
class Quotas:
    """What is taken in 24 hours, in steps of a minute.

    Letters to one reader's address or from one writer's; letters to one domain; letters in all;
    corrections of one letter's address; notices to one address that never confirmed.
    """

    per_address: int = 50
    per_domain: int = 2_000
    per_day: int = 10_000
    corrections: int = 5
    notices: int = 10

    async def take(self, letter: Letter, clients: Sequence[str], now: datetime) -> bool:
        """Count a letter that was just stored or corrected; True: one of its addresses has had its quota.

        In the letter's own transaction: the next letter is counted when it has ended. `clients` are the
        HMACs of the client's network and of wider ones around it. Raises LimitExceeded; the transaction
        must be undone then.
        """
        addresses = {f"reader {letter.recipient_hmac}": Limit.READER}
        if letter.sender_hmac:
            addresses[f"writer {letter.sender_hmac}"] = Limit.WRITER
        own = {f"{client} {scope}": limit for client in clients[:1] for scope, limit in addresses.items()}
        domain = f"domain {letter.recipient_domain_hmac}"
        counted = await _add([_ALL, domain, *addresses, *own], now, first=_FIRST)
        met = _beyond({scope: (limit, self.per_address) for scope, limit in own.items()}, counted)
        for scope, most, whole, share in (
            (_ALL, self.per_day, Limit.DAY_ALL, Limit.DAY_SHARE),
            (domain, self.per_domain, Limit.DOMAIN_ALL, Limit.DOMAIN_SHARE),
        ):
            met += _beyond({scope: (whole, most)}, counted)
            if counted[scope] > most // 2:
                met += await _beyond_share(share, scope, most - most // 2, clients, now)
        if met:
            waits = [await _wait(each.scope, each.counted - each.most, now) for each in met]
            raise LimitExceeded(max(waits), met[0].limit, met[0].most)
        return any(counted[scope] > self.per_address for scope in addresses)

    async def check_corrections(self, letter_id: UUID, now: datetime) -> None:
        """Count the correction of a letter that was just stored, in its own transaction. Raises LimitExceeded."""
        lately = Correction.filter(letter_id=letter_id, id__gte=lowest_row_id(now - _DAY)).order_by("-id")
        if first := await lately.offset(self.corrections).first():
            began = datetime.fromtimestamp((first.id.int >> 80) / 1000, UTC)
            raise LimitExceeded(_seconds(began + _DAY, now), Limit.CORRECTIONS, self.corrections)

    async def take_notices(self, hmacs: Sequence[str], now: datetime, *, important: bool = True) -> list[bool]:
        """Count a notice to each of these addresses; return which ones may be sent.

        Others than important ones leave three of ten to those. Within a transaction that has written already.
        """
        await lock_addresses(*map(_notices, hmacs))
        most = self.notices if important else self.notices - self.notices * 3 // 10
        counted = Counter(await _sums(set(map(_notices, hmacs)), now))
        free = await _confirmed(
            address_hmac for address_hmac in hmacs if counted[_notices(address_hmac)] + len(hmacs) > most
        )
        sent = []
        for address_hmac in hmacs:
            sent.append(address_hmac in free or counted[_notices(address_hmac)] < most)
            counted[_notices(address_hmac)] += sent[-1]
        await _count(Counter(_notices(address_hmac) for address_hmac, may in zip(hmacs, sent, strict=True) if may), now)
        return sent

    async def notice_at(self, address_hmac: str, at: datetime) -> datetime:
        """Count a notice that must not be lost; return when it may be sent, `at` or once there is room again."""
        await lock_addresses(_notices(address_hmac))
        counted = (await _sums([_notices(address_hmac)], at)).get(_notices(address_hmac), 0)
        if counted >= self.notices and not await _confirmed([address_hmac]):
            at += timedelta(seconds=await _wait(_notices(address_hmac), counted + 1 - self.notices, at))
        await _count({_notices(address_hmac): 1}, at)
        return at


async def hold_over_quota(letter_id: UUID, now: datetime) -> None:
    """Hold what is scheduled of a letter, or will be once it is confirmed, until an operator releases it."""
    await Letter.filter(id=letter_id).update(over_quota=True)
    scheduled = Delivery.filter(letter_id=letter_id, notice=False, status=Status.SCHEDULED)
    await scheduled.update(status=Status.HELD, status_at=now, held_reason=HeldReason.QUOTA)


async def drop_quota_counts(now: datetime) -> int:
    """Delete what no quota counts any more; return how many rows."""
    return await QuotaCount.filter(minute__lte=_minute(now) - _MINUTES).delete()


async def _beyond_share(limit: Limit, scope: str, half: int, clients: Sequence[str], now: datetime) -> list[_Met]:
    """Count a letter in the half of a quota that is shared out."""
    shares = {f"{client} {scope}": max(half // _SHARE, 1) * NETWORK_FACTOR**step for step, client in enumerate(clients)}
    counted = await _add(list(shares), now) if shares else {}
    return _beyond({name: (limit, most) for name, most in shares.items()}, counted)


def _beyond(quotas: Mapping[str, tuple[Limit, int]], counted: Mapping[str, int]) -> list[_Met]:
    return [
        _Met(limit, scope, most, counted[scope]) for scope, (limit, most) in quotas.items() if counted[scope] > most
    ]


async def _add(scopes: Sequence[str], now: datetime, first: str = "") -> Mapping[str, int]:
    """Count one more for each, and return the sums of a day."""
    await _count(dict.fromkeys(scopes, 1), now, first)
    return await _sums(scopes, now)


async def _count(numbers: Mapping[str, int], at: datetime, first: str = "") -> None:
    if numbers:
        rows = ", ".join(f"(@{2 * n + 2}, @1, @{2 * n + 3})" for n in range(len(numbers)))
        values = [value for item in numbers.items() for value in item]
        await connection().execute_query(numbered(_ADD.format(first=first, rows=rows)), [_minute(at), *values])


async def _sums(scopes: Iterable[str], now: datetime) -> Mapping[str, int]:
    wanted = list(scopes)
    sql = _SUMS.format(scopes=", ".join(f"@{n + 2}" for n in range(len(wanted))))
    rows = await connection().execute_query_dict(numbered(sql), [_minute(now) - _MINUTES, *wanted])
    return {row["scope"]: row["number"] for row in rows}


async def _wait(scope: str, excess: int, now: datetime) -> int:
    """Return the seconds until so many of those counted are a day old."""
    counts = QuotaCount.filter(scope=scope, minute__gt=_minute(now) - _MINUTES).order_by("minute")
    minute = _minute(now)
    for minute, number in await counts.values_list("minute", "number"):  # noqa: B007 - the last one is wanted
        excess -= number
        if excess <= 0:
            break
    return _seconds(datetime.fromtimestamp((minute + _MINUTES) * 60, UTC), now)


async def _confirmed(hmacs: Iterable[str]) -> set[str]:
    """Return which of these addresses have ever used a link of ours to confirm."""
    asked = Confirmation.filter(address_hmac__in=sorted(set(hmacs))).exclude(used_at=None)
    return {address_hmac for (address_hmac,) in await asked.values_list("address_hmac")}


def _notices(address_hmac: str) -> str:
    return f"notices {address_hmac}"


def _minute(moment: datetime) -> int:
    return int(moment.timestamp() // 60)


def _seconds(until: datetime, now: datetime) -> int:
    return max(1, ceil((until - now).total_seconds()))
