"""Mailing a writer the links of their letters: to the address they gave, and only what was written under it."""

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
"""How many letters one such mail names, the newest."""

_DAY = timedelta(days=1)
# What still waits for a confirmation is not told about: nobody knows yet who wrote it.
_LIVING = """
    purged_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE letter_id = letters.id AND held_reason = 'unconfirmed'
    )
"""
_OF_WRITER = f"SELECT * FROM letters WHERE sender_hmac = @1 AND {_LIVING} ORDER BY id DESC LIMIT {MOST}"  # noqa: S608
_ASK = f"""
    INSERT INTO deliveries (
        letter_id, occasion, edition, notice, status, status_at, promised_at, due_at, message_id, domain_hmac,
        attempts, unanswered
    )
    SELECT id, 'links', 1 + (SELECT COUNT(*) FROM deliveries WHERE letter_id = letters.id AND occasion = 'links'),
        true, 'scheduled', @1, @1, @1, @2, @3, 0, 0
    FROM letters
    WHERE id = @4 AND {_LIVING} AND NOT EXISTS (
        SELECT 1 FROM deliveries JOIN letters AS theirs ON theirs.id = letter_id
        WHERE theirs.sender_hmac = @5 AND occasion = 'links' AND promised_at > @6
    )
"""  # noqa: S608 - of constants


@retried
async def send_links(
    cipher: LetterCipher, address: str, message_domain: str, now: datetime, quotas: Quotas | None = None
) -> None:
    """Have the links of all living letters that were written from an address mailed to it, once a day at most."""
    address_hmac = cipher.address_hmac(address)
    letter = next((each for each in await letters_of(address_hmac) if written_by(cipher, address, each)), None)
    if letter is None:
        return
    message_id = f"<{new_token()}@{message_domain}>"
    values = [as_parameter(now), message_id, cipher.domain_hmac(address), letter["id"], address_hmac]
    async with transaction() as whole:
        await lock_addresses(address_hmac)
        await whole.execute_query(numbered(_ASK), [*values, as_parameter(now - _DAY)])
        asked = Delivery.filter(message_id=message_id)
        if quotas and await asked.exists():
            await asked.update(due_at=await quotas.notice_at(address_hmac, now))


async def letters_of(sender_hmac: str) -> Sequence[LetterRow]:
    """Return the living letters of a writer, sealed, the newest first."""
    rows: Sequence[LetterRow] = await connection().execute_query_dict(numbered(_OF_WRITER), [sender_hmac])
    return rows


def written_by(cipher: LetterCipher, address: str, letter: LetterRow) -> bool:
    """Return whether a letter gives this very address as its writer's.

    A address_hmac folds `+tag`s together; but there are mail servers on which those are somebody else's.
    """
    return cipher.open_letter(letter, ["sender_email"])["sender_email"].casefold() == address.casefold()
