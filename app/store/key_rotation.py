"""Which secret keys the database needs, and sealing everything again with the first one while the program runs.

A key is recorded in `secrets` before it seals anything, and removed once a rotation found nothing
under it: reading the keys from every letter would take as long as reading all letters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from app.crypto import Cipher
from app.errors import KeyMissing
from app.store.cipher import LETTER_COLUMNS, LetterCipher, reseal_blind_index, reseal_second_factors
from app.store.database import connection, empty_write_ahead_log, transaction
from app.store.execution import retried
from app.store.models import Letter, Secret, Worker

log = structlog.get_logger()
_PREFIX = "key "
_KEY_ID = {"sqlite": "lower(hex(substr({0}, 2, 4)))", "postgres": "encode(substring({0} FROM 2 FOR 4), 'hex')"}
_SEALED = [
    ("secrets", "sealed"),
    ("second_factors", "secret_sealed"),
    *(("letters", f"{column}_sealed") for column in LETTER_COLUMNS),
]
_BATCH = 100
_ROUNDS = 3
_COLUMNS = [f"{column}_sealed" for column in LETTER_COLUMNS]

ReportProgress = Callable[[int], None]
"""Called with the number of letters read so far."""

ResealedRow = tuple[Mapping[str, Any], Mapping[str, bytes]]
"""A letter's row as it was read, and its columns that are sealed again."""


async def check_keys(base_cipher: Cipher) -> None:
    """Raise KeyMissing with the ids of the keys in use that `base_cipher` does not hold."""
    if missing := set(await _recorded() or await _record_all()) - set(base_cipher.key_ids.split()):
        in_use = await _in_use()
        await Secret.filter(name__in=[_PREFIX + key_id for key_id in missing - in_use]).delete()
        missing &= in_use
        if missing:
            raise KeyMissing(
                f"MAILBOX_SECRET_KEY: letters are sealed with the key {', '.join(sorted(missing))}, which it does not "
                f"hold; put it back behind the first one and run: slow-mailbox keys rotate"
            )


async def missing_keys(cipher: LetterCipher) -> list[str]:
    """Return the ids of the recorded keys that `cipher` does not hold. It reads a few rows only.

    Our own first key is recorded again if another process removed it because nothing was under it.
    """
    recorded = set(await _recorded())
    if _first_key(cipher) not in recorded:
        await record_key(cipher)
    return sorted(recorded - set(cipher.key_ids.split()))


async def record_key(cipher: LetterCipher) -> None:
    await _record({_first_key(cipher)})


def _first_key(cipher: LetterCipher) -> str:
    return cipher.key_ids.partition(" ")[0]


async def _recorded() -> list[str]:
    names = await Secret.filter(name__startswith=_PREFIX).values_list("name")
    return [name.removeprefix(_PREFIX) for (name,) in names]


async def _record_all() -> set[str]:
    in_use = await _in_use()
    await _record(in_use)
    return in_use


async def _record(key_ids: set[str]) -> None:
    rows = [Secret(name=_PREFIX + key_id, sealed=b"") for key_id in key_ids]
    await Secret.bulk_create(rows, ignore_conflicts=True)


async def _in_use() -> set[str]:
    """Return the ids of all keys that something is sealed with. It reads every letter that is not purged."""
    key_id = _KEY_ID[connection().capabilities.dialect]
    sql = " UNION ".join(
        f"SELECT {key_id.format(column)} AS key_id FROM {table} WHERE length({column}) > 4"  # noqa: S608 - our own names
        for table, column in _SEALED
    )
    return {row["key_id"] for row in await connection().execute_query_dict(sql)}


@dataclass(slots=True)
class Rotation:
    """`left` are letters still under another key, `unreadable` those under a key that we do not have."""

    letters: int = 0
    blind_index: bool = False
    left: int = 0
    unreadable: int = 0

    @property
    def complete(self) -> bool:
        return not self.left and not self.unreadable


async def workers_without_key(cipher: LetterCipher, since: datetime) -> list[str]:
    """Return the workers seen after `since` that lack the first key: rotation would break their pages."""
    alive = Worker.filter(seen_at__gte=since).order_by("name")
    return [worker.name async for worker in alive if _first_key(cipher) not in (worker.key_ids or "")]


async def letters_to_reseal() -> int:
    return await Letter.filter(purged_at=None).count()


async def rotate(cipher: LetterCipher, base_cipher: Cipher, progress: ReportProgress) -> Rotation:
    """Seal all letters and the blind index's key with the first key; it may be interrupted and started again.

    A letter that changes meanwhile is left as it is and read again in the next round. Rounds go on
    until one finds nothing to do: if the last still finds something, another process seals with
    another key.
    """
    await record_key(cipher)
    rotation = Rotation(blind_index=await reseal_blind_index(base_cipher))
    await reseal_second_factors(cipher, base_cipher)
    for _ in range(_ROUNDS):
        rotation.left = rotation.unreadable = 0
        await _round(cipher, rotation, progress)
        if not rotation.left:
            break
    if rotation.complete:
        await Secret.filter(name__startswith=_PREFIX).exclude(name=_PREFIX + _first_key(cipher)).delete()
    await empty_write_ahead_log()
    return rotation


async def _round(cipher: LetterCipher, rotation: Rotation, progress: ReportProgress) -> None:
    last, seen = UUID(int=0), 0
    while True:
        kept = Letter.filter(id__gt=last, purged_at=None).order_by("id").limit(_BATCH)
        batch = await kept.values("id", "revision", *_COLUMNS)
        if not batch:
            return
        resealed = [(letter, columns) for letter in batch if (columns := _reseal(cipher, letter, rotation))]
        rotation.left += len(resealed)
        rotation.letters += await _write(resealed)
        last, seen = batch[-1]["id"], seen + len(batch)
        progress(seen)


def _reseal(cipher: LetterCipher, letter: Mapping[str, Any], rotation: Rotation) -> dict[str, bytes]:
    try:
        return cipher.reseal_letter(letter)
    except KeyMissing as error:
        log.error("a letter cannot be opened", letter=str(letter["id"]), error=str(error))
        rotation.unreadable += 1
        return {}


@retried
async def _write(resealed: Sequence[ResealedRow]) -> int:
    if not resealed:
        return 0
    async with transaction():
        return sum(
            [
                await Letter.filter(id=letter["id"], **{column: letter[column] for column in columns}).update(**columns)
                for letter, columns in resealed
            ]
        )
