"""What was sealed once and put back later, by somebody who can write the database and has no key, on both."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyotp
import pytest

from app.crypto import Cipher
from app.domain.letter import Draft
from app.domain.schedule import Promise
from app.errors import KeyMissing
from app.store.accounts import create_account
from app.store.address_change import Corrections
from app.store.cipher import LETTER_COLUMNS, LetterCipher, open_cipher
from app.store.confirmation import Confirmations
from app.store.editing import LetterEditor
from app.store.key_rotation import rotate
from app.store.letters import Letters
from app.store.models import Letter
from app.store.operator_models import SecondFactor
from app.store.second_factor import accept, new_secret, remove, switch_on
from tests.clock import NEW_YEAR as NOW
from tests.ledger import READER, WRITER

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
DRAFT = Draft(recipient_email=READER, recipient_name="Minji", body="Dear you", sender_email=WRITER, sender_name="Jun")
OTHER = Draft(recipient_email=READER, body="Dear you, once more", subject="The sea", sender_email=WRITER)
PROMISE = Promise(NOW + 7 * DAY, NOW + 30 * DAY)
NEW_ADDRESS = "sujin@right.example"


@pytest.fixture
def editor(cipher: LetterCipher) -> LetterEditor:
    return LetterEditor(cipher, "slow.test")


@pytest.fixture
def corrections(cipher: LetterCipher) -> Corrections:
    return Corrections(cipher, None, Confirmations(cipher, "slow.test"), confirmed=False)


@pytest.fixture
async def token(letters: Letters) -> str:
    """A letter that can be changed for an hour."""
    token = (await letters.post(DRAFT, NOW)).token
    await Letter.all().update(sealed_at=NOW + timedelta(hours=1))
    return token


async def _row() -> dict[str, Any]:
    return (await Letter.all().values())[0]


async def _put_back(row: Mapping[str, Any], *columns: str) -> dict[str, Any]:
    await Letter.all().update(**{column: row[column] for column in columns if column != "id"})
    return await _row()


async def test_no_value_from_before_a_change_opens_beside_the_others(
    cipher: LetterCipher, letters: Letters, editor: LetterEditor, token: str
) -> None:
    before = await _row()
    await editor.edit(token, OTHER, PROMISE, NOW)
    after = await _row()
    for column in [f"{name}_sealed" for name in LETTER_COLUMNS] + ["revision"]:
        with pytest.raises(KeyMissing):
            cipher.open_letter(await _put_back(before, column))
        await _put_back(after, column)
    with pytest.raises(KeyMissing):  # all that the writer changed, and not the rest
        cipher.open_letter(await _put_back(before, "revision", "body_sealed", "subject_sealed"))
    await _put_back(after, *before)
    assert (await letters.find(token)).draft.body == OTHER.body


async def test_the_old_address_does_not_open_beside_the_rest_of_a_corrected_letter(
    cipher: LetterCipher, corrections: Corrections, token: str
) -> None:
    before = await _row()
    await corrections.correct_by_token(token, NEW_ADDRESS, None, NOW + DAY)
    assert cipher.open_letter(await _row())["recipient_email"] == NEW_ADDRESS
    names = ("revision", "recipient_email_sealed", "recipient_hmac", "recipient_domain_hmac", "reader_token_hash")
    with pytest.raises(KeyMissing):
        cipher.open_letter(await _put_back(before, *names))


async def test_only_the_whole_letter_can_be_put_back(cipher: LetterCipher, editor: LetterEditor, token: str) -> None:
    """Nothing within the database tells an old row from a new one; docs/security.md says so."""
    before = await _row()
    await editor.edit(token, OTHER, PROMISE, NOW)
    assert cipher.open_letter(await _put_back(before, *before))["body"] == DRAFT.body


async def test_two_who_write_a_letter_anew_at_once_lose_nothing_of_each_other(
    letters: Letters, editor: LetterEditor, corrections: Corrections, token: str
) -> None:
    await asyncio.gather(
        editor.edit(token, OTHER, PROMISE, NOW), corrections.correct_by_token(token, NEW_ADDRESS, None, NOW)
    )
    draft = (await letters.find(token)).draft
    assert (draft.body, draft.subject, draft.recipient_email) == (OTHER.body, OTHER.subject, NEW_ADDRESS)
    assert (await _row())["revision"] == 3


async def test_a_letter_from_before_there_were_revisions_opens_turns_and_is_changed(
    cipher: LetterCipher, letters: Letters, token: str
) -> None:
    row = await _row()
    values = cipher.open_letter(row)
    await Letter.all().update(revision=0, **cipher.seal_letter(row["id"], 0, values))
    assert (await letters.find(token)).draft == DRAFT
    base_cipher = Cipher(["n" * 32, "k" * 32])
    assert (await rotate(await open_cipher(base_cipher), base_cipher, lambda _: None)).complete
    turned = await open_cipher(Cipher(["n" * 32]))
    assert turned.open_letter(await _row()) == values
    await LetterEditor(turned, "slow.test").edit(token, OTHER, PROMISE, NOW)
    row = await _row()
    assert (row["revision"], turned.open_letter(row)["body"]) == (1, OTHER.body)


async def _enrol(cipher: LetterCipher) -> str:
    secret = new_secret()
    assert await switch_on(cipher, "jihye", secret, pyotp.TOTP(secret).at(NOW), NOW)
    return secret


async def test_a_second_factor_that_was_taken_away_does_not_come_back(cipher: LetterCipher) -> None:
    await create_account("jihye", "correct horse battery", NOW)
    await _enrol(cipher)
    before = await SecondFactor.get()
    await remove("jihye")
    await _enrol(cipher)
    await SecondFactor.all().update(secret_sealed=before.secret_sealed)
    with pytest.raises(KeyMissing):
        cipher.open_secret(await SecondFactor.get())


async def test_a_second_factor_from_before_enrolments_were_told_apart_opens(cipher: LetterCipher) -> None:
    await create_account("jihye", "correct horse battery", NOW)
    secret = await _enrol(cipher)
    factor = await SecondFactor.get()
    await SecondFactor.all().update(enrolment=None, secret_sealed=cipher.seal_secret(factor.account_id, None, secret))
    assert await accept(cipher, "jihye", pyotp.TOTP(secret).at(NOW + timedelta(seconds=30)), NOW)
