"""Mailing a writer the links of their letters: to the address they gave, and only what was written under it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.sealing import new_token
from app.store.database import as_parameter, connection, transaction
from app.store.models import Delivery
from app.store.operations import retried
from app.store.quotas import Quotas, one_at_a_time
from app.store.statements import numbered
from app.store.vault import Vault

Row = Mapping[str, Any]

MOST = 50
"""How many letters one such mail names, the newest."""

_DAY = timedelta(days=1)
# What still waits for a confirmation is not told about: nobody knows yet who wrote it.
_LIVING = """
    purged_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE letter_id = letters.id AND held_reason = 'unconfirmed'
    )
"""
_OF_WRITER = f"SELECT * FROM letters WHERE sender_mac = @1 AND {_LIVING} ORDER BY id DESC LIMIT {MOST}"  # noqa: S608
_ASK = f"""
    INSERT INTO deliveries (
        letter_id, occasion, edition, notice, status, status_at, promised_at, due_at, message_id, domain_mac,
        attempts, unanswered
    )
    SELECT id, 'links', 1 + (SELECT COUNT(*) FROM deliveries WHERE letter_id = letters.id AND occasion = 'links'),
        true, 'scheduled', @1, @1, @1, @2, @3, 0, 0
    FROM letters
    WHERE id = @4 AND {_LIVING} AND NOT EXISTS (
        SELECT 1 FROM deliveries JOIN letters AS theirs ON theirs.id = letter_id
        WHERE theirs.sender_mac = @5 AND occasion = 'links' AND promised_at > @6
    )
"""  # noqa: S608 - of constants


@retried
async def ask_for_links(
    vault: Vault, address: str, message_domain: str, now: datetime, quotas: Quotas | None = None
) -> None:
    """Have the links of all living letters that were written from an address mailed to it, once a day at most."""
    mac = vault.address_mac(address)
    letter = next((each for each in await letters_of(mac) if wrote(vault, address, each)), None)
    if letter is None:
        return
    message_id = f"<{new_token()}@{message_domain}>"
    values = [as_parameter(now), message_id, vault.domain_mac(address), letter["id"], mac]
    async with transaction() as whole:
        await one_at_a_time(mac)
        await whole.execute_query(numbered(_ASK), [*values, as_parameter(now - _DAY)])
        asked = Delivery.filter(message_id=message_id)
        if quotas and await asked.exists():
            await asked.update(due_at=await quotas.notice_at(mac, now))


async def letters_of(sender_mac: str) -> Sequence[Row]:
    """Return the living letters of a writer, sealed, the newest first."""
    rows: Sequence[Row] = await connection().execute_query_dict(numbered(_OF_WRITER), [sender_mac])
    return rows


def wrote(vault: Vault, address: str, letter: Row) -> bool:
    """Return whether a letter gives this very address as its writer's.

    A mac folds `+tag`s together; but there are mail servers on which those are somebody else's.
    """
    return vault.open_letter(letter, ["sender_email"])["sender_email"].casefold() == address.casefold()
