"""The second factor, on both databases."""

import asyncio
from datetime import timedelta

import pyotp
import pytest

from app.crypto import Cipher
from app.errors import AccountError
from app.store.accounts import create_account, session_account
from app.store.cipher import LetterCipher, open_cipher, reseal_blind_index, reseal_second_factors
from app.store.operator_models import SecondFactor
from app.store.second_factor import (
    accept,
    accept_recovery,
    enrolment_uri,
    is_on,
    new_secret,
    recovery_codes_left,
    remove,
    switch_on,
)
from tests.clock import NEW_YEAR as NOW
from tests.store.login import sign_in

pytestmark = pytest.mark.anyio

STEP = timedelta(seconds=30)


@pytest.fixture
async def secret(cipher: LetterCipher) -> str:  # noqa: ARG001 - it connects to the database
    await create_account("jihye", "correct horse battery", NOW)
    return new_secret()


def _code(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(NOW + steps * STEP)


async def _switch_on(cipher: LetterCipher, secret: str) -> list[str]:
    return await switch_on(cipher, "jihye", secret, _code(secret), NOW)


async def test_it_is_enabled_by_its_first_code(cipher: LetterCipher, secret: str) -> None:
    assert await switch_on(cipher, "jihye", secret, "000000", NOW) == []
    assert not await is_on("jihye")
    assert not await accept(cipher, "jihye", _code(secret), NOW)
    assert len(set(await _switch_on(cipher, secret))) == 10
    assert await is_on("jihye")
    with pytest.raises(AccountError):
        await _switch_on(cipher, secret)
    assert await recovery_codes_left("jihye") == 10


async def test_of_two_concurrent_setups_one_succeeds(cipher: LetterCipher, secret: str) -> None:
    ended = await asyncio.gather(_switch_on(cipher, secret), _switch_on(cipher, new_secret()), return_exceptions=True)
    assert sorted(type(each).__name__ for each in ended) == ["AccountError", "list"]
    assert await recovery_codes_left("jihye") == 10


async def test_sessions_from_before_a_change_of_the_second_factor_end(cipher: LetterCipher, secret: str) -> None:
    await create_account("other", "correct horse battery", NOW)
    others = await sign_in("other", "correct horse battery", NOW)
    assert others
    for change in (_switch_on(cipher, secret), remove("jihye")):
        before = await sign_in("jihye", "correct horse battery", NOW)
        assert before
        assert await session_account(before, NOW)
        await change
        assert await session_account(before, NOW) is None
    assert await session_account(others, NOW)


async def test_a_code_counts_once_and_near_its_time(cipher: LetterCipher, secret: str) -> None:
    await _switch_on(cipher, secret)
    assert not await accept(cipher, "jihye", _code(secret), NOW)
    for wrong in ("", "123", "abcdef", "１２３４５６", _code(secret, 2), _code(secret, -5)):
        assert not await accept(cipher, "jihye", wrong, NOW)
    spaced = f" {_code(secret, 1)[:3]} {_code(secret, 1)[3:]} "
    assert await accept(cipher, "jihye", spaced, NOW)
    assert not await accept(cipher, "jihye", _code(secret, 1), NOW + STEP)
    assert not await accept(cipher, "jihye", _code(secret), NOW + STEP)  # older than one that was used
    tries = [accept(cipher, "jihye", _code(secret, 2), NOW + 2 * STEP) for _ in range(4)]
    assert sorted(await asyncio.gather(*tries)) == [False, False, False, True]


async def test_a_recovery_code_counts_once(cipher: LetterCipher, secret: str) -> None:
    codes = await _switch_on(cipher, secret)
    assert not await accept_recovery("nobody", codes[0])
    assert [await accept_recovery("jihye", f" {codes[0].upper()} ") for _ in range(2)] == [True, False]
    assert await recovery_codes_left("jihye") == 9
    await remove("jihye")
    assert not await is_on("jihye")
    assert not await accept_recovery("jihye", codes[1])


async def test_the_secret_is_sealed_and_rotated_with_the_key(cipher: LetterCipher, secret: str) -> None:
    await _switch_on(cipher, secret)
    before = bytes((await SecondFactor.get()).secret_sealed)
    assert secret.encode() not in before
    both = Cipher(["n" * 32, "k" * 32])
    await reseal_blind_index(both)
    turned = await open_cipher(both)
    await reseal_second_factors(turned, both)
    assert bytes((await SecondFactor.get()).secret_sealed) != before
    with_new_key_alone = await open_cipher(Cipher(["n" * 32]))
    assert await accept(with_new_key_alone, "jihye", _code(secret, 1), NOW)


def test_the_uri_names_the_account() -> None:
    uri = enrolment_uri("jihye", "JBSWY3DPEHPK3PXP" * 2, "Slow Mailbox")
    assert uri == "otpauth://totp/Slow%20Mailbox:jihye?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Slow%20Mailbox"
