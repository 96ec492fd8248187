"""Letters by the hundred thousand: one is posted as the form posts it, and copied with everything sealed anew."""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import asyncpg

from app.crypto import Cipher, new_token, token_hash
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.store.cipher import LetterCipher, open_cipher
from app.store.database import connected, is_sqlite, sqlite_path
from app.store.letters import Letters
from app.store.models import Delivery, Letter
from app.store.posting import new_row_id
from app.store.sqlite import as_text
from tests.bench.databases import execute

KEY = "a key for measuring that is long enough"
SENDER_DOMAIN = "bench.test"
_LINE = "느린 우체통에 넣은 편지는 이레를 걸어 당신에게 갑니다. 그때 우리는 무엇을 하고 있을까요?\n"
BODY = (_LINE * 100).encode()[:4096].decode(errors="ignore")
"""4 KB of Korean."""
_DOMAINS = 20
_AT_ONCE = 5_000

_PAST = timedelta(days=60)
_LATELY = timedelta(hours=1)
# A letter's number says what became of a delivery whose time has come: the first that divides it.
_ENDINGS = (
    (50_021, {"status": "uncertain", "attempts": 1, "unanswered": 1}),
    (1_009, {"status": "held", "held_reason": "undeliverable"}),
    (503, {"status": "held", "held_reason": "operator"}),
    (211, {"status": "cancelled"}),
    (101, {"status": "failed", "attempts": 1}),
)
_TRIES = """
    INSERT INTO attempts (
        delivery_id, claim_token, worker_name, started_at, handed_over_at, ended_at, outcome, code, enhanced, answer
    )
    SELECT id, letter_id, 'post-1 (42)', status_at, status_at, status_at,
           CASE status WHEN 'sent' THEN 'accepted' ELSE 'permanent' END, CASE status WHEN 'sent' THEN 250 ELSE 550 END,
           CASE status WHEN 'sent' THEN '2.0.0' ELSE '5.1.1' END,
           CASE status WHEN 'sent' THEN 'Ok: queued as 4bF7Xq' ELSE '(address): no such user here' END
    FROM deliveries WHERE status IN ('sent', 'failed')
"""

Row = dict[str, Any]
Copy = tuple[Row, list[Row]]


@dataclass(frozen=True, slots=True)
class _Model:
    """The rows that one posting wrote, and what was sealed in them."""

    cipher: LetterCipher
    letter: Row
    deliveries: list[Row]
    values: dict[str, str]


def fill(url: str, letters: int, *, body: str = BODY, written_ago: timedelta = timedelta(days=8)) -> None:
    """Store letters, as many to each of some domains; those written eight days ago are due since one."""
    written_at = datetime.now(UTC) - written_ago
    model = asyncio.run(_post(url, body, written_at))
    _write(url, (_copy(model, number, written_at) for number in range(1, letters)))


def fill_with_a_past(url: str, letters: int, *, body: str = BODY) -> None:
    """Store letters as an office has them that was written to for 60 days, as often at any time.

    What was due until an hour ago has ended, but for a few that wait for a decision.
    """
    now = datetime.now(UTC)
    model = asyncio.run(_post(url, body, now - _PAST))
    moments = (now - _PAST * (letters - number) / letters for number in range(1, letters))
    copies = (_copy(model, number, moment) for number, moment in enumerate(moments, 1))
    moved = ((letter, [_moved_on(row, number, now) for row in rows]) for number, (letter, rows) in enumerate(copies, 1))
    _write(url, moved, _TRIES)


def _moved_on(delivery: Row, number: int, now: datetime) -> Row:
    """Return what a delivery has become by now."""
    promised = delivery["promised_at"]
    if promised > now - _LATELY:
        return delivery
    ended_at = promised + timedelta(seconds=number % 60)
    ending = next((row for divisor, row in _ENDINGS if number % divisor == 0), None)
    return delivery | {"status_at": ended_at} | (ending or {"status": "sent", "attempts": 1, "sent_at": ended_at})


async def _post(url: str, body: str, written_at: datetime) -> _Model:
    async with connected(url):
        cipher = await open_cipher(Cipher([KEY]))
        letters = Letters(cipher, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain=SENDER_DOMAIN)
        await letters.post(Draft(recipient_email=_reader(0), subject="느린 편지", body=body), written_at)
        letter = (await Letter.all().values())[0]
        deliveries = await Delivery.all().order_by("id").values()
    for delivery in deliveries:
        del delivery["id"]  # the database counts them
    return _Model(cipher, letter, deliveries, cipher.open_letter(letter))


def _reader(number: int) -> str:
    return f"reader{number}@d{number % _DOMAINS}.test"


def _copy(model: _Model, number: int, written_at: datetime) -> Copy:
    """Return a letter and its deliveries, written at another time, to another reader, under another link."""
    cipher, row_id, later = model.cipher, new_row_id(written_at), written_at - model.letter["written_at"]
    address, token = _reader(number), new_token()
    reader, domain = cipher.address_hmac(address), cipher.domain_hmac(address)
    letter = {
        **model.letter,
        **cipher.seal_letter(row_id, 1, model.values | {"token": token, "recipient_email": address}),
        **{name: model.letter[name] + later for name in ("written_at", "send_at", "second_send_at", "sealed_at")},
        "id": row_id,
        "token_hash": token_hash(token),
        "reader_token_hash": token_hash(cipher.reader_token(row_id, reader)),
        "recipient_hmac": reader,
        "recipient_domain_hmac": domain,
    }
    return letter, [
        {
            **row,
            **{name: row[name] + later for name in ("status_at", "promised_at", "due_at")},
            "letter_id": row_id,
            "domain_hmac": domain,
            "message_id": f"<{new_token()}@{SENDER_DOMAIN}>",
        }
        for row in model.deliveries
    ]


def _write(url: str, copies: Iterable[Copy], *further: str) -> None:
    if is_sqlite(url):
        _write_sqlite(url, iter(copies), further)
    else:
        asyncio.run(_write_postgres(url, iter(copies), further))


def _write_sqlite(url: str, copies: Iterator[Copy], further: Sequence[str]) -> None:
    with closing(sqlite3.connect(sqlite_path(url))) as database:
        database.execute("PRAGMA synchronous = OFF")
        while group := list(islice(copies, _AT_ONCE)):
            for table, rows in _tables(group):
                names = ", ".join(rows[0])
                places = ", ".join("?" * len(rows[0]))
                values = (tuple(map(_as_text, row.values())) for row in rows)
                database.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", values)
            database.commit()
        for statement in further:
            database.execute(statement)
        database.commit()
        for statement in ("ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"):
            database.execute(statement)


def _as_text(value: object) -> object:
    """Return what SQLite keeps of a value."""
    if isinstance(value, datetime):
        return as_text(value)
    return str(value) if isinstance(value, UUID) else value


async def _write_postgres(url: str, copies: Iterator[Copy], further: Sequence[str]) -> None:
    database = await asyncpg.connect(url)
    try:
        await database.execute("SET synchronous_commit = off")
        while group := list(islice(copies, _AT_ONCE)):
            for table, rows in _tables(group):
                records = (tuple(row.values()) for row in rows)
                await database.copy_records_to_table(table, records=records, columns=list(rows[0]))
    finally:
        await database.close()
    await execute(url, *further, "VACUUM ANALYZE", "CHECKPOINT")


def _tables(group: list[Copy]) -> tuple[tuple[str, list[Row]], tuple[str, list[Row]]]:
    return ("letters", [letter for letter, _ in group]), ("deliveries", [row for _, rows in group for row in rows])
