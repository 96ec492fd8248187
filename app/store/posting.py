"""Writing a new letter with its deliveries: all or nothing."""

import os
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from tortoise.models import Model

from app.crypto import new_token
from app.domain.status import Occasion, Status
from app.store.database import connection, transaction
from app.store.execution import retried
from app.store.models import Delivery, Letter


def new_row_id(now: datetime) -> UUID:
    """Return a UUID of version 7 (RFC 9562 §5.7): rows written together are neighbours in the index."""
    value = _milliseconds(now) << 80 | int.from_bytes(os.urandom(10))
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def lowest_row_id(moment: datetime) -> UUID:
    return UUID(int=_milliseconds(moment) << 80)


def _milliseconds(moment: datetime) -> int:
    """Count since 1970, never below 0: the clock may be unset, and quotas look a day back."""
    return max(0, int(moment.timestamp() * 1000))


def new_delivery(
    letter_id: UUID, occasion: Occasion, due_at: datetime, now: datetime, *, domain_hmac: str, message_domain: str
) -> Delivery:
    return Delivery(
        letter_id=letter_id,
        occasion=occasion,
        notice=occasion.is_notice,
        status=Status.SCHEDULED,
        status_at=now,
        promised_at=due_at,
        due_at=due_at,
        message_id=f"<{new_token()}@{message_domain}>",
        domain_hmac=domain_hmac,
    )


@retried
async def store(
    letter: Letter, deliveries: Sequence[Delivery], follow: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Store a new letter with its deliveries, then call `follow`, which may refuse them by raising.

    On PostgreSQL it is one statement, which needs no transaction around it without `follow`:
    one round trip instead of five.
    """
    one_statement = connection().capabilities.dialect == "postgres"
    if one_statement and follow is None:
        await _write_in_one_statement(letter, deliveries)
        return
    async with transaction():
        await (_write_in_one_statement if one_statement else _write)(letter, deliveries)
        if follow:
            await follow()


async def _write(letter: Letter, deliveries: Sequence[Delivery]) -> None:
    await letter.save(force_create=True)
    await Delivery.bulk_create(deliveries)


async def _write_in_one_statement(letter: Letter, deliveries: Sequence[Delivery]) -> None:
    values = [value for row in (letter, *deliveries) for value in _values(row)]
    await connection().execute_query(_statement(len(deliveries)), values)


@cache
def _statement(deliveries: int) -> str:
    """Write both in one statement; the foreign key is checked at its end, when the letter exists."""
    letter, delivery = _columns(Letter), _columns(Delivery)
    rows = ", ".join(_placeholders(delivery, len(letter) + number * len(delivery)) for number in range(deliveries))
    return (
        f"WITH letter AS (INSERT INTO letters ({', '.join(letter)}) VALUES {_placeholders(letter, 0)}) "
        f"INSERT INTO deliveries ({', '.join(delivery)}) VALUES {rows}"
    )


def _placeholders(columns: Collection[str], offset: int) -> str:
    return f"({', '.join(f'${offset + number}' for number in range(1, len(columns) + 1))})"


@cache
def _columns(model: type[Model]) -> dict[str, str]:
    fields = model._meta.fields_db_projection.items()
    return {column: field for field, column in fields if not model._meta.fields_map[field].generated}


def _values(row: Model) -> Iterator[Any]:
    return (getattr(row, field) for field in _columns(type(row)).values())
