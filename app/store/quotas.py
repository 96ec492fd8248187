"""Daily quotas of letters and notices, counted in the database for all processes (docs/standards.md P2)."""

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
"""Half of a quota is shared among clients; one client may use a twentieth of that half."""
NETWORK_FACTOR = 4
"""The share of the next wider network of a client is this many times larger (/64, /56, /48)."""
_ALL = "all"
# A row that every letter changes first, so that letters are counted one after the other. (A separate lock
# would be one more round trip in which all others wait.)
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
    """Lock these addresses until the transaction ends. SQLite lets one transaction write at a time anyway.

    Always lock in one order, or two transactions may deadlock: the quotas, then addresses, then
    deliveries, then notices to addresses.
    """
    if connection().capabilities.dialect == "postgres":
        for address_hmac in sorted(set(hmacs)):
            await connection().execute_query(_LOCK, [address_hmac])


@dataclass(frozen=True, slots=True)
class _Exceeded:
    limit: Limit
    scope: str
    quota: int
    counted: int


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of 24 hours, in steps of a minute.

    Letters to one reader's address or from one writer's; letters to one domain; all letters;
    corrections of one letter's address; notices to one address that never confirmed.
    """

    per_address: int = 50
    per_domain: int = 2_000
    per_day: int = 10_000
    corrections: int = 5
    notices: int = 10

    async def take(self, letter: Letter, clients: Sequence[str], now: datetime) -> bool:
        """Count a letter that was just stored or corrected; True: one of its addresses is over its quota.

        Call it in the letter's own transaction: the next letter is counted after that. `clients` are the
        HMACs of the client's network and of wider ones around it. Raises LimitExceeded; the transaction
        must be rolled back then.
        """
        addresses = {f"reader {letter.recipient_hmac}": Limit.READER}
        if letter.sender_hmac:
            addresses[f"writer {letter.sender_hmac}"] = Limit.WRITER
        own = {f"{client} {scope}": limit for client in clients[:1] for scope, limit in addresses.items()}
        domain = f"domain {letter.recipient_domain_hmac}"
        counted = await _add([_ALL, domain, *addresses, *own], now, first=_FIRST)
        exceeded = _over({scope: (limit, self.per_address) for scope, limit in own.items()}, counted)
        for scope, most, limit, share_limit in (
            (_ALL, self.per_day, Limit.DAY_ALL, Limit.DAY_SHARE),
            (domain, self.per_domain, Limit.DOMAIN_ALL, Limit.DOMAIN_SHARE),
        ):
            exceeded += _over({scope: (limit, most)}, counted)
            if counted[scope] > most // 2:
                exceeded += await _over_share(share_limit, scope, most - most // 2, clients, now)
        if exceeded:
            waits = [await _wait(each.scope, each.counted - each.quota, now) for each in exceeded]
            raise LimitExceeded(max(waits), exceeded[0].limit, exceeded[0].quota)
        return any(counted[scope] > self.per_address for scope in addresses)

    async def check_corrections(self, letter_id: UUID, now: datetime) -> None:
        """Call it in the transaction that stored the correction. Raises LimitExceeded."""
        recent = Correction.filter(letter_id=letter_id, id__gte=lowest_row_id(now - _DAY)).order_by("-id")
        if first := await recent.offset(self.corrections).first():
            made_at = datetime.fromtimestamp((first.id.int >> 80) / 1000, UTC)
            raise LimitExceeded(_seconds(made_at + _DAY, now), Limit.CORRECTIONS, self.corrections)

    async def take_notices(self, hmacs: Sequence[str], now: datetime, *, important: bool = True) -> list[bool]:
        """Count a notice to each of these addresses; return which ones may be sent.

        Three tenths of the quota are reserved for important ones. Call it in a transaction that has written already.
        """
        await lock_addresses(*map(_notices, hmacs))
        most = self.notices if important else self.notices - self.notices * 3 // 10
        counted = Counter(await _sums(set(map(_notices, hmacs)), now))
        unlimited = await _confirmed(
            address_hmac for address_hmac in hmacs if counted[_notices(address_hmac)] + len(hmacs) > most
        )
        allowed = []
        for address_hmac in hmacs:
            allowed.append(address_hmac in unlimited or counted[_notices(address_hmac)] < most)
            counted[_notices(address_hmac)] += allowed[-1]
        await _count(
            Counter(_notices(address_hmac) for address_hmac, ok in zip(hmacs, allowed, strict=True) if ok), now
        )
        return allowed

    async def notice_at(self, address_hmac: str, at: datetime) -> datetime:
        """Count a notice that must not be dropped; return when it may be sent, at `at` or later."""
        await lock_addresses(_notices(address_hmac))
        counted = (await _sums([_notices(address_hmac)], at)).get(_notices(address_hmac), 0)
        if counted >= self.notices and not await _confirmed([address_hmac]):
            at += timedelta(seconds=await _wait(_notices(address_hmac), counted + 1 - self.notices, at))
        await _count({_notices(address_hmac): 1}, at)
        return at


async def hold_over_quota(letter_id: UUID, now: datetime) -> None:
    await Letter.filter(id=letter_id).update(over_quota=True)
    scheduled = Delivery.filter(letter_id=letter_id, notice=False, status=Status.SCHEDULED)
    await scheduled.update(status=Status.HELD, status_at=now, held_reason=HeldReason.QUOTA)


async def drop_quota_counts(now: datetime) -> int:
    return await QuotaCount.filter(minute__lte=_minute(now) - _MINUTES).delete()


async def _over_share(limit: Limit, scope: str, half: int, clients: Sequence[str], now: datetime) -> list[_Exceeded]:
    shares = {f"{client} {scope}": max(half // _SHARE, 1) * NETWORK_FACTOR**step for step, client in enumerate(clients)}
    counted = await _add(list(shares), now) if shares else {}
    return _over({name: (limit, most) for name, most in shares.items()}, counted)


def _over(quotas: Mapping[str, tuple[Limit, int]], counted: Mapping[str, int]) -> list[_Exceeded]:
    return [
        _Exceeded(limit, scope, most, counted[scope])
        for scope, (limit, most) in quotas.items()
        if counted[scope] > most
    ]


async def _add(scopes: Sequence[str], now: datetime, first: str = "") -> Mapping[str, int]:
    await _count(dict.fromkeys(scopes, 1), now, first)
    return await _sums(scopes, now)


async def _count(numbers: Mapping[str, int], at: datetime, first: str = "") -> None:
    if numbers:
        rows = ", ".join(f"(@{2 * n + 2}, @1, @{2 * n + 3})" for n in range(len(numbers)))
        values = [value for item in numbers.items() for value in item]
        await connection().execute_query(numbered(_ADD.format(first=first, rows=rows)), [_minute(at), *values])


async def _sums(scopes: Iterable[str], now: datetime) -> Mapping[str, int]:
    names = list(scopes)
    sql = _SUMS.format(scopes=", ".join(f"@{n + 2}" for n in range(len(names))))
    rows = await connection().execute_query_dict(numbered(sql), [_minute(now) - _MINUTES, *names])
    return {row["scope"]: row["number"] for row in rows}


async def _wait(scope: str, excess: int, now: datetime) -> int:
    counts = QuotaCount.filter(scope=scope, minute__gt=_minute(now) - _MINUTES).order_by("minute")
    minute = _minute(now)
    for minute, number in await counts.values_list("minute", "number"):  # noqa: B007 - the last one is used below
        excess -= number
        if excess <= 0:
            break
    return _seconds(datetime.fromtimestamp((minute + _MINUTES) * 60, UTC), now)


async def _confirmed(hmacs: Iterable[str]) -> set[str]:
    used = Confirmation.filter(address_hmac__in=sorted(set(hmacs))).exclude(used_at=None)
    return {address_hmac for (address_hmac,) in await used.values_list("address_hmac")}


def _notices(address_hmac: str) -> str:
    return f"notices {address_hmac}"


def _minute(moment: datetime) -> int:
    return int(moment.timestamp() // 60)


def _seconds(until: datetime, now: datetime) -> int:
    return max(1, ceil((until - now).total_seconds()))
