"""Mailing a writer the links of their letters: to the address they gave, and only what was written under it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from app.sealing import new_token
from app.store.database import as_parameter, connection, transaction
from app.store.quotas import one_at_a_time
from app.store.statements import numbered
from app.store.vault import Vault

MOST = 50
"""How many letters one such mail names, the newest."""

_DAY = timedelta(days=1)
# One statement, so that the same is done for every address. What still waits for a confirmation is
# not told about: nobody knows yet that it was written under its own address.
_LIVING = """
    sender_mac = {mac} AND purged_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE letter_id = letters.id AND held_reason = 'unconfirmed'
    )
"""
_ASK = f"""
    INSERT INTO deliveries (
        letter_id, occasion, edition, notice, status, status_at, promised_at, due_at, message_id, domain_mac,
        attempts, unanswered
    )
    SELECT id, 'links', 1 + (SELECT COUNT(*) FROM deliveries WHERE letter_id = letters.id AND occasion = 'links'),
        true, 'scheduled', @1, @1, @1, @2, @3, 0, 0
    FROM letters
    WHERE {_LIVING.format(mac="@4")} AND NOT EXISTS (
        SELECT 1 FROM deliveries JOIN letters AS theirs ON theirs.id = letter_id
        WHERE theirs.sender_mac = @4 AND occasion = 'links' AND promised_at > @5
    )
    ORDER BY id DESC LIMIT 1
"""  # noqa: S608 - of constants


async def ask_for_links(vault: Vault, address: str, message_domain: str, now: datetime) -> None:
    """Have the links of all living letters that were written from an address mailed to it, once a day at most."""
    mac = vault.address_mac(address)
    values = [as_parameter(now), f"<{new_token()}@{message_domain}>", vault.domain_mac(address), mac]
    async with transaction() as whole:
        await one_at_a_time(mac)
        await whole.execute_query(numbered(_ASK), [*values, as_parameter(now - _DAY)])


async def letters_of(sender_mac: str) -> Sequence[dict[str, Any]]:
    """Return the living letters of a writer, sealed, the newest first."""
    found = f"SELECT * FROM letters WHERE {_LIVING.format(mac='@1')} ORDER BY id DESC LIMIT {MOST}"  # noqa: S608
    rows: Sequence[dict[str, Any]] = await connection().execute_query_dict(numbered(found), [sender_mac])
    return rows
