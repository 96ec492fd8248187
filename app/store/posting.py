"""Writing a new letter with its deliveries: all or nothing."""

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


def new_delivery(
    letter_id: UUID, occasion: Occasion, due_at: datetime, now: datetime, *, domain_hmac: str, message_domain: str
) -> Delivery:
    """Return a delivery that has not been stored yet. Its Message-ID is its own for ever (E3)."""
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
    """Store a new letter with its deliveries; `follow` looks at what is stored then, and may refuse it by raising.

    On PostgreSQL it is one statement, which needs no transaction around it if nothing follows:
    one round trip in place of five.
    """
    in_one = connection().capabilities.dialect == "postgres"
    if in_one and follow is None:
        await _write_in_one(letter, deliveries)
        return
    async with transaction():
        await (_write_in_one if in_one else _write)(letter, deliveries)
        if follow:
            await follow()


async def _write(letter: Letter, deliveries: Sequence[Delivery]) -> None:
    await letter.save(force_create=True)
    await Delivery.bulk_create(deliveries)


async def _write_in_one(letter: Letter, deliveries: Sequence[Delivery]) -> None:
    values = [value for row in (letter, *deliveries) for value in _values(row)]
    await connection().execute_query(_statement(len(deliveries)), values)


@cache
def _statement(deliveries: int) -> str:
    """Return the one statement; the foreign key is checked at its end, when the letter is there."""
    letter, delivery = _columns(Letter), _columns(Delivery)
    rows = ", ".join(_places(delivery, len(letter) + number * len(delivery)) for number in range(deliveries))
    return (
        f"WITH letter AS (INSERT INTO letters ({', '.join(letter)}) VALUES {_places(letter, 0)}) "
        f"INSERT INTO deliveries ({', '.join(delivery)}) VALUES {rows}"
    )


def _places(columns: Collection[str], begin: int) -> str:
    return f"({', '.join(f'${begin + number}' for number in range(1, len(columns) + 1))})"


@cache
def _columns(model: type[Model]) -> dict[str, str]:
    """Return the fields of a table's new row, by column; what the database counts is not among them."""
    fields = model._meta.fields_db_projection.items()
    return {column: field for field, column in fields if not model._meta.fields_map[field].generated}


def _values(row: Model) -> Iterator[Any]:
    return (getattr(row, field) for field in _columns(type(row)).values())
