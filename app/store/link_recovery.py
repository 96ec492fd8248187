"""Mailing a writer the links of the letters written from their address."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.crypto import new_token
from app.store.cipher import LetterCipher
from app.store.database import as_parameter, connection, transaction
from app.store.execution import retried
from app.store.models import Delivery
from app.store.quotas import Quotas, lock_addresses
from app.store.sql import numbered

LetterRow = Mapping[str, Any]

MOST = 50
"""The number of letters that one mail lists, the newest."""

_DAY = timedelta(days=1)
# An unconfirmed letter is left out: its writer's address is not proven.
_LISTED = """
    purged_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE letter_id = letters.id AND held_reason = 'unconfirmed'
    )
"""
_LETTERS = f"SELECT * FROM letters WHERE sender_hmac = @1 AND {_LISTED} ORDER BY id DESC LIMIT {MOST}"  # noqa: S608
_INSERT_NOTICE = f"""
    INSERT INTO deliveries (
        letter_id, occasion, edition, notice, status, status_at, promised_at, due_at, message_id, domain_hmac,
        attempts, unanswered
    )
    SELECT id, 'links', 1 + (SELECT COUNT(*) FROM deliveries WHERE letter_id = letters.id AND occasion = 'links'),
        true, 'scheduled', @1, @1, @1, @2, @3, 0, 0
    FROM letters
    WHERE id = @4 AND {_LISTED} AND NOT EXISTS (
        SELECT 1 FROM deliveries JOIN letters AS own ON own.id = letter_id
        WHERE own.sender_hmac = @5 AND occasion = 'links' AND promised_at > @6
    )
"""  # noqa: S608 - of constants


@retried
async def send_links(
    cipher: LetterCipher, address: str, message_domain: str, now: datetime, quotas: Quotas | None = None
) -> None:
    address_hmac = cipher.address_hmac(address)
    letter = next((each for each in await letters_of(address_hmac) if written_by(cipher, address, each)), None)
    if letter is None:
        return
    message_id = f"<{new_token()}@{message_domain}>"
    values = [as_parameter(now), message_id, cipher.domain_hmac(address), letter["id"], address_hmac]
    async with transaction() as transacted:
        await lock_addresses(address_hmac)
        await transacted.execute_query(numbered(_INSERT_NOTICE), [*values, as_parameter(now - _DAY)])
        notice = Delivery.filter(message_id=message_id)
        if quotas and await notice.exists():
            await notice.update(due_at=await quotas.notice_at(address_hmac, now))


async def letters_of(sender_hmac: str) -> Sequence[LetterRow]:
    rows: Sequence[LetterRow] = await connection().execute_query_dict(numbered(_LETTERS), [sender_hmac])
    return rows


def written_by(cipher: LetterCipher, address: str, letter: LetterRow) -> bool:
    """Return whether a letter's sender is exactly this address.

    `address_hmac` ignores `+tag`s, which on some mail servers belong to different people.
    """
    return cipher.open_letter(letter, ["sender_email"])["sender_email"].casefold() == address.casefold()
