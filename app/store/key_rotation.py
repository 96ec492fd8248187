"""Sealing everything anew with the first key, while the program runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from app.crypto import Cipher
from app.errors import KeyMissing
from app.store.cipher import LETTER_COLUMNS, LetterCipher, reseal_blind_index, reseal_second_factors
from app.store.database import empty_write_ahead_log, transaction
from app.store.execution import retried
from app.store.keys_in_use import forget_other_keys, record_key
from app.store.models import Letter, Worker

log = structlog.get_logger()
_BATCH = 100
_ROUNDS = 3
_COLUMNS = [f"{column}_sealed" for column in LETTER_COLUMNS]

ReportProgress = Callable[[int], None]
"""Is told how many letters have been looked at."""

ResealedRow = tuple[Mapping[str, Any], Mapping[str, bytes]]
"""A letter's row as it was read, and those of its columns that are sealed anew."""


@dataclass(slots=True)
class Rotation:
    """What was sealed anew; `left` is still under another key, `unreadable` under one that we do not have."""

    letters: int = 0
    blind_index: bool = False
    left: int = 0
    unreadable: int = 0

    @property
    def complete(self) -> bool:
        """Whether every key but the first can be taken away."""
        return not self.left and not self.unreadable


async def cannot_open(cipher: LetterCipher, since: datetime) -> list[str]:
    """Return the workers that were seen `since` then and lack the first key: rotation would break their pages."""
    first = cipher.key_ids.partition(" ")[0]
    alive = Worker.filter(seen_at__gte=since).order_by("name")
    return [worker.name async for worker in alive if first not in (worker.key_ids or "")]


async def letters_to_look_at() -> int:
    """Return how many letters there are that hold anything."""
    return await Letter.filter(purged_at=None).count()


async def rotate(cipher: LetterCipher, base_cipher: Cipher, progress: ReportProgress) -> Rotation:
    """Seal all letters and the finder's key with the first key; it may be broken off and begun again.

    A letter that somebody changes meanwhile is left as they wrote it, and looked at once more. Rounds
    go on until one finds nothing to do: if even the last finds something, another process seals with
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
        await forget_other_keys(cipher)
    await empty_write_ahead_log()
    return rotation


async def _round(cipher: LetterCipher, rotation: Rotation, progress: ReportProgress) -> None:
    """Look at every letter; `left` counts those that were found under another key."""
    last, seen = UUID(int=0), 0
    while True:
        kept = Letter.filter(id__gt=last, purged_at=None).order_by("id").limit(_BATCH)
        batch = await kept.values("id", "revision", *_COLUMNS)
        if not batch:
            return
        fresh = [(letter, columns) for letter in batch if (columns := _fresh(cipher, letter, rotation))]
        rotation.left += len(fresh)
        rotation.letters += await _write(fresh)
        last, seen = batch[-1]["id"], seen + len(batch)
        progress(seen)


def _fresh(cipher: LetterCipher, letter: Mapping[str, Any], rotation: Rotation) -> dict[str, bytes]:
    try:
        return cipher.reseal_letter(letter)
    except KeyMissing as error:
        log.error("a letter cannot be opened", letter=str(letter["id"]), error=str(error))
        rotation.unreadable += 1
        return {}


@retried
async def _write(fresh: Sequence[ResealedRow]) -> int:
    """Write what was sealed anew where it is still what was read; return how many letters that were."""
    if not fresh:
        return 0
    async with transaction():
        return sum(
            [
                await Letter.filter(id=letter["id"], **{column: letter[column] for column in columns}).update(**columns)
                for letter, columns in fresh
            ]
        )
