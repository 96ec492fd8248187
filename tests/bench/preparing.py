"""Letters by the hundred thousand: one is posted as the form posts it, and copied with everything sealed anew."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import asyncpg

from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.sealing import Sealer, new_token, token_hash
from app.store.database import connected, connection, is_sqlite, sqlite_path
from app.store.letters import Letters
from app.store.row_ids import new_row_id
from app.store.vault import Vault, open_vault
from tests.bench.databases import execute

KEY = "a key for measuring that is long enough"
SENDER_DOMAIN = "bench.test"
_LINE = "느린 우체통에 넣은 편지는 이레를 걸어 당신에게 갑니다. 그때 우리는 무엇을 하고 있을까요?\n"
BODY = (_LINE * 100).encode()[:4096].decode(errors="ignore")
"""4 KB of Korean."""
_DOMAINS = 20
_AT_ONCE = 5_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Model:
    """The rows that one posting wrote, and what was sealed in them."""

    vault: Vault
    letter: Row
    deliveries: list[Row]
    values: dict[str, str]


def fill(url: str, letters: int, *, body: str = BODY, written_ago: timedelta = timedelta(days=8)) -> None:
    """Store letters, as many to each of some domains; those written eight days ago are due since one."""
    written_at = datetime.now(UTC) - written_ago
    model = asyncio.run(_post(url, body, written_at))
    copies = (_copy(model, number, written_at, is_sqlite(url)) for number in range(1, letters))
    if is_sqlite(url):
        _write_sqlite(url, copies)
    else:
        asyncio.run(_write_postgres(url, copies))


async def _post(url: str, body: str, written_at: datetime) -> _Model:
    async with connected(url):
        vault = await open_vault(Sealer([KEY]))
        letters = Letters(vault, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain=SENDER_DOMAIN)
        await letters.post(Draft(recipient_email=_reader(0), subject="느린 편지", body=body), written_at)
        letter = dict((await connection().execute_query_dict("SELECT * FROM letters"))[0])
        deliveries = [dict(row) for row in await connection().execute_query_dict("SELECT * FROM deliveries")]
    for delivery in deliveries:
        del delivery["id"]  # the database counts them
    return _Model(vault, letter, deliveries, vault.open_letter(letter))


def _reader(number: int) -> str:
    return f"reader{number}@d{number % _DOMAINS}.test"


def _copy(model: _Model, number: int, written_at: datetime, as_text: bool) -> tuple[Row, list[Row]]:
    """Return a letter and its deliveries, to another reader, under another link."""
    vault, row_id = model.vault, new_row_id(written_at)
    address, token = _reader(number), new_token()
    reader, domain = vault.address_mac(address), vault.domain_mac(address)
    key: UUID | str = str(row_id) if as_text else row_id
    letter = {
        **model.letter,
        **vault.seal_letter(row_id, 1, model.values | {"token": token, "recipient_email": address}),
        "id": key,
        "token_hash": token_hash(token),
        "reader_token_hash": token_hash(vault.reader_token(row_id, reader)),
        "recipient_mac": reader,
        "recipient_domain_mac": domain,
    }
    own = {"letter_id": key, "domain_mac": domain}
    return letter, [row | own | {"message_id": f"<{new_token()}@{SENDER_DOMAIN}>"} for row in model.deliveries]


def _write_sqlite(url: str, copies: Iterator[tuple[Row, list[Row]]]) -> None:
    with closing(sqlite3.connect(sqlite_path(url))) as database:
        database.execute("PRAGMA synchronous = OFF")
        while group := list(islice(copies, _AT_ONCE)):
            for table, rows in _tables(group):
                names = ", ".join(rows[0])
                places = ", ".join("?" * len(rows[0]))
                database.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", map(_values, rows))
            database.commit()
        database.execute("ANALYZE")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _write_postgres(url: str, copies: Iterator[tuple[Row, list[Row]]]) -> None:
    database = await asyncpg.connect(url)
    try:
        await database.execute("SET synchronous_commit = off")
        while group := list(islice(copies, _AT_ONCE)):
            for table, rows in _tables(group):
                await database.copy_records_to_table(table, records=map(_values, rows), columns=list(rows[0]))
    finally:
        await database.close()
    await execute(url, "VACUUM ANALYZE", "CHECKPOINT")


def _tables(group: list[tuple[Row, list[Row]]]) -> tuple[tuple[str, list[Row]], tuple[str, list[Row]]]:
    return ("letters", [letter for letter, _ in group]), ("deliveries", [row for _, rows in group for row in rows])


def _values(row: Row) -> tuple[Any, ...]:
    return tuple(row.values())
