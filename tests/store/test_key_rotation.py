"""Rotating keys: complete and without loss, also when interrupted or with concurrent changes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from app.crypto import Cipher
from app.domain.letter import Draft
from app.errors import KeyMissing
from app.store import key_rotation as module
from app.store.cipher import LETTER_COLUMNS, LetterCipher, open_cipher
from app.store.key_rotation import ResealedRow, Rotation, rotate
from app.store.letters import Letters
from app.store.models import Letter, Secret
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER

pytestmark = pytest.mark.anyio

OLD, NEW = "k" * 32, "n" * 32  # the first is the conftest's
DRAFT = Draft(recipient_email=READER, body="Dear you", subject="The sea", sender_email="jun@example.net")
COUNT = 7


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 3)


@pytest.fixture
async def tokens(letters: Letters) -> list[str]:
    return [
        (await letters.post(replace(DRAFT, body=f"Dear {n}"), NOW + timedelta(seconds=n))).token for n in range(COUNT)
    ]


def _untold(_: int) -> None:
    pass


async def _rotate(*keys: str, progress: Callable[[int], None] = _untold) -> Rotation:
    base_cipher = Cipher(keys)
    return await rotate(await open_cipher(base_cipher), base_cipher, progress)


async def _rows() -> dict[UUID, dict[str, bytes]]:
    columns = [f"{column}_sealed" for column in LETTER_COLUMNS]
    return {row.pop("id"): row for row in await Letter.all().order_by("id").values("id", *columns)}


def _with(cipher: LetterCipher, letters: Letters) -> Letters:
    letters._cipher = cipher
    return letters


async def test_afterwards_the_new_key_opens_everything_and_the_old_one_nothing(
    letters: Letters, cipher: LetterCipher, tokens: list[str]
) -> None:
    seen: list[int] = []
    address_hmac = cipher.address_hmac(READER)
    assert await _rotate(NEW, OLD, progress=seen.append) == Rotation(letters=COUNT, blind_index=True)
    assert seen == [3, 6, 7, 3, 6, 7]  # and once more, to see that nothing is left
    alone = await open_cipher(Cipher([NEW]))
    assert alone.address_hmac(READER) == address_hmac
    found = _with(alone, letters)
    assert [(await found.find(token)).draft.body for token in tokens] == [f"Dear {n}" for n in range(COUNT)]
    assert await Letter.filter(recipient_hmac=alone.address_hmac("MinJi+x@example.org")).count() == COUNT
    with pytest.raises(KeyMissing):
        await open_cipher(Cipher([OLD]))
    old = Cipher([OLD])
    for row_id, row in (await _rows()).items():
        for column in LETTER_COLUMNS:
            with pytest.raises(KeyMissing):
                old.open(bytes(row[f"{column}_sealed"]), table="letters", column=column, row=f"{row_id.hex}.1")


async def test_twice_is_the_same_as_once(tokens: list[str]) -> None:
    assert len(tokens) == COUNT
    await _rotate(NEW, OLD)
    rows = await _rows()
    assert await _rotate(NEW, OLD) == Rotation()
    assert await _rows() == rows


async def test_an_interrupted_rotation_can_be_run_again(letters: Letters, tokens: list[str]) -> None:
    class Killed(Exception):
        pass

    def die(_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        await _rotate(NEW, OLD, progress=die)
    both = _with(await open_cipher(Cipher([NEW, OLD])), letters)
    assert [(await both.find(token)).draft.body for token in tokens] == [f"Dear {n}" for n in range(COUNT)]
    assert await _rotate(NEW, OLD) == Rotation(letters=COUNT - 3)


async def test_concurrent_changes_are_not_overwritten(
    letters: Letters, tokens: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and writing a batch, another process writes one of its letters."""
    write = module._write
    changed = False

    async def write_later(fresh: Sequence[ResealedRow]) -> int:
        nonlocal changed
        if not changed:
            changed = True
            cipher, letter_id = await open_cipher(Cipher([OLD, NEW])), UUID(str(fresh[0][0]["id"]))
            await Letter.filter(id=letter_id).update(**cipher.seal_letter(letter_id, 1, {"body": "Changed"}))
        return await write(fresh)

    monkeypatch.setattr(module, "_write", write_later)
    assert await _rotate(NEW, OLD) == Rotation(letters=COUNT, blind_index=True)
    found = _with(await open_cipher(Cipher([NEW])), letters)
    assert [(await found.find(token)).draft.body for token in tokens][:2] == ["Changed", "Dear 1"]


async def test_letters_posted_meanwhile_with_the_old_key_are_found_too(letters: Letters, tokens: list[str]) -> None:
    late: list[str] = []

    async def post() -> None:
        late.append((await letters.post(DRAFT, NOW)).token)

    await post()
    assert (await _rotate(NEW, OLD)).letters == len(tokens) + 1
    await post()  # by a process that was not restarted: it says so by exit code if that goes on
    assert await _rotate(NEW, OLD) == Rotation(letters=1)


async def test_a_process_that_seals_with_another_key_is_reported(
    letters: Letters, tokens: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = module._write

    async def write_and_post(fresh: Sequence[ResealedRow]) -> int:
        written = await write(fresh)
        if fresh:
            await letters.post(DRAFT, NOW.replace(year=2020))  # its id is behind us
        return written

    monkeypatch.setattr(module, "_write", write_and_post)
    rotation = await _rotate(NEW, OLD)
    assert rotation.left
    assert not rotation.complete
    assert rotation.letters >= len(tokens)


async def test_unreadable_letters_are_counted_and_do_not_stop_the_rotation(letters: Letters, tokens: list[str]) -> None:
    broken = await Letter.all().order_by("id").first()
    assert broken
    await Letter.filter(id=broken.id).update(body_sealed=b"\x01garbage that nobody sealed at all, ever")
    rotation = await _rotate(NEW, OLD)
    assert (rotation.letters, rotation.unreadable, rotation.complete) == (COUNT - 1, 1, False)
    found = _with(await open_cipher(Cipher([NEW])), letters)
    assert (await found.find(tokens[1])).draft.body == "Dear 1"


async def test_purged_letters_stay_purged(tokens: list[str]) -> None:
    nothing = dict.fromkeys((f"{column}_sealed" for column in LETTER_COLUMNS), None)
    await Letter.all().update(purged_at=NOW, **nothing)
    assert await _rotate(NEW, OLD) == Rotation(blind_index=True)
    assert len(tokens) == await Letter.exclude(purged_at=None).count()


async def test_the_old_key_is_needed_as_long_as_anything_is_under_it(tokens: list[str]) -> None:
    assert tokens
    with pytest.raises(KeyMissing):
        await _rotate(NEW)
    assert await Secret.exclude(name__startswith="key ").count() == 1
