"""Which keys seal what rests in the database, so that a key that is missing is named before a letter needs it.

A key is on record from before it seals anything until a rotation has found nothing under it. Rows of
`secrets` keep the record: to ask every letter would take as long as reading all of them.
"""

from app.crypto import Cipher
from app.errors import KeyMissing
from app.store.cipher import LETTER_COLUMNS, LetterCipher
from app.store.database import connection
from app.store.models import Secret

_PREFIX = "key "
_KEY_ID = {"sqlite": "lower(hex(substr({0}, 2, 4)))", "postgres": "encode(substring({0} FROM 2 FOR 4), 'hex')"}
_SEALED = [
    ("secrets", "sealed"),
    ("second_factors", "secret_sealed"),
    *(("letters", f"{column}_sealed") for column in LETTER_COLUMNS),
]


async def check_keys(base_cipher: Cipher) -> None:
    """Raise KeyMissing with the ids of the keys that something rests under and `sealer` does not hold."""
    if missing := set(await _recorded() or await _record_all()) - set(base_cipher.key_ids.split()):
        in_use = await _in_use()
        await Secret.filter(name__in=[_PREFIX + key_id for key_id in missing - in_use]).delete()
        missing &= in_use
        if missing:
            raise KeyMissing(
                f"MAILBOX_SECRET_KEY: letters are sealed with the key {', '.join(sorted(missing))}, which it does not "
                f"hold; put it back behind the first one and run: slow-mailbox keys rotate"
            )


async def lacking(cipher: LetterCipher) -> list[str]:
    """Return the ids of the keys on record that we do not hold. It reads a few rows, and may be asked often.

    Our own first key is put on record again if another process has found nothing under it.
    """
    recorded = set(await _recorded())
    if cipher.key_ids.partition(" ")[0] not in recorded:
        await record_key(cipher)
    return sorted(recorded - set(cipher.key_ids.split()))


async def record_key(cipher: LetterCipher) -> None:
    """Put the first key on record; from now on it may seal."""
    await _record({cipher.key_ids.partition(" ")[0]})


async def forget_other_keys(cipher: LetterCipher) -> None:
    """Leave only the first key on record: nothing rests under another one."""
    first = cipher.key_ids.partition(" ")[0]
    await Secret.filter(name__startswith=_PREFIX).exclude(name=_PREFIX + first).delete()


async def _recorded() -> list[str]:
    names = await Secret.filter(name__startswith=_PREFIX).values_list("name")
    return [name.removeprefix(_PREFIX) for (name,) in names]


async def _record_all() -> set[str]:
    """Put on record what a database was sealed with before there was a record."""
    found = await _in_use()
    await _record(found)
    return found


async def _record(key_ids: set[str]) -> None:
    rows = [Secret(name=_PREFIX + key_id, sealed=b"") for key_id in key_ids]
    await Secret.bulk_create(rows, ignore_conflicts=True)


async def _in_use() -> set[str]:
    """Return the ids of all keys that something rests under. It reads every letter that is kept."""
    key_id = _KEY_ID[connection().capabilities.dialect]
    asked = " UNION ".join(
        f"SELECT {key_id.format(column)} AS key_id FROM {table} WHERE length({column}) > 4"  # noqa: S608 - our own names
        for table, column in _SEALED
    )
    return {row["key_id"] for row in await connection().execute_query_dict(asked)}
