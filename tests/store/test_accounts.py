"""Accounts, passwords and sessions, on both databases."""

import asyncio
import time
import unicodedata
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from argon2 import PasswordHasher, extract_parameters

from app.errors import AccountError
from app.store.accounts import (
    ABSOLUTE_TIMEOUT,
    IDLE_TIMEOUT,
    create_account,
    ensure_first_account,
    list_accounts,
    new_password,
    remove_account,
    reset_password,
    session_account,
    sign_out,
)
from app.store.database import connected
from app.store.models import Account, Session
from app.store.operator_models import RecoveryCode, SecondFactor
from tests.clock import NEW_YEAR as NOW
from tests.store.login import sign_in

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
async def _database(database_url: str) -> AsyncIterator[None]:
    async with connected(database_url):
        yield


@pytest.fixture
async def token() -> str:
    await create_account("admin", PASSWORD, NOW)
    return await _signed_in()


async def _signed_in(password: str = PASSWORD) -> str:
    token = await sign_in("admin", password, NOW)
    assert token
    return token


async def test_a_password_is_generated_for_the_first_account_where_none_is_given() -> None:
    generated = await ensure_first_account("admin", "", NOW)
    assert generated
    assert await sign_in("admin", generated, NOW)
    assert await ensure_first_account("admin", "", NOW) is None


async def test_a_given_first_password_is_used_and_not_returned() -> None:
    assert await ensure_first_account("admin", PASSWORD, NOW) is None
    assert await sign_in("admin", PASSWORD, NOW)


async def test_no_first_account_is_created_where_one_exists() -> None:
    await create_account("other", PASSWORD, NOW)
    assert await ensure_first_account("admin", "", NOW) is None
    assert [account.username for account in await list_accounts()] == ["other"]


async def test_of_concurrent_starts_one_creates_the_account_and_shows_its_password() -> None:
    passwords = await asyncio.gather(*(ensure_first_account("admin", "", NOW) for _ in range(4)))
    shown = [password for password in passwords if password]
    assert len(shown) == 1
    assert await sign_in("admin", shown[0], NOW)
    assert await Account.all().count() == 1


@pytest.mark.parametrize("password", ["x" * 11, "x" * 129])
async def test_a_too_short_or_too_long_password_is_rejected(password: str) -> None:
    with pytest.raises(AccountError, match="12 to 128"):
        await create_account("admin", password, NOW)
    with pytest.raises(AccountError, match="12 to 128"):
        await ensure_first_account("admin", password, NOW)
    assert await list_accounts() == []


@pytest.mark.parametrize("username", ["", " admin", "ad\0min", "ad\nmin", "x" * 65])
async def test_an_invisible_or_unstorable_name_is_rejected(username: str) -> None:
    with pytest.raises(AccountError, match="is not a valid account name"):
        await create_account(username, PASSWORD, NOW)
    assert await sign_in(username, PASSWORD, NOW) is None


async def test_a_name_is_unique() -> None:
    await create_account("admin", PASSWORD, NOW)
    with pytest.raises(AccountError, match="already"):
        await create_account("admin", PASSWORD, NOW)


async def test_a_password_of_128_characters_in_any_script_and_either_unicode_form() -> None:
    composed = ("바다는 조용하고 봄은 멀다. " * 10)[:128]
    await create_account("admin", composed, NOW)
    assert await sign_in("admin", unicodedata.normalize("NFD", composed), NOW)


async def test_a_common_password_is_rejected() -> None:
    for create in (create_account, ensure_first_account):
        with pytest.raises(AccountError, match="easy to guess"):
            await create("admin", "password1234", NOW)
    await create_account("jihye", PASSWORD, NOW)
    with pytest.raises(AccountError, match="easy to guess"):
        await reset_password("jihye", "jihye jihye jihye")


async def test_signing_in_needs_both_name_and_password(token: str) -> None:
    view = await session_account(token, NOW)
    assert view
    assert (view.username, view.created_at) == ("admin", NOW)
    assert await sign_in("admin", PASSWORD + "x", NOW) is None
    assert await sign_in("Admin", PASSWORD, NOW) is None
    assert await session_account("an unknown token", NOW) is None


async def test_an_unknown_name_costs_as_much_as_a_wrong_password(token: str) -> None:
    assert token
    known, unknown = await _cost_of_refusing("admin"), await _cost_of_refusing("unknown")
    assert 0.5 < unknown / known < 2


async def _cost_of_refusing(username: str) -> float:
    """Return seconds of processor time, which other programs do not influence."""
    costs = []
    for _ in range(5):
        before = time.process_time()
        assert await sign_in(username, "a wrong password", NOW) is None
        costs.append(time.process_time() - before)
    return min(costs)


async def test_neither_password_nor_token_is_stored(token: str) -> None:
    account, session = await Account.get(), await Session.get()
    parameters = extract_parameters(account.password_hash)
    assert (parameters.type.name, parameters.time_cost) == ("ID", 1)
    assert parameters.memory_cost >= 46 * 1024  # KiB
    assert token not in session.token_hash


async def test_each_login_has_its_own_token(token: str) -> None:
    assert await _signed_in() != token


async def test_a_session_ends_after_half_an_hour_without_a_request(token: str) -> None:
    assert await session_account(token, NOW + IDLE_TIMEOUT - MINUTE)
    assert await session_account(token, NOW + 2 * (IDLE_TIMEOUT - MINUTE))
    assert await session_account(token, NOW + 3 * (IDLE_TIMEOUT - MINUTE) + MINUTE) is None


async def test_an_active_session_ends_after_half_a_day(token: str) -> None:
    now = NOW
    while now < NOW + ABSOLUTE_TIMEOUT:
        assert await session_account(token, now)
        now += IDLE_TIMEOUT / 2
    assert await session_account(token, now) is None


async def test_seen_at_is_updated_at_most_once_a_minute(token: str) -> None:
    await session_account(token, NOW + MINUTE / 2)
    assert (await Session.get()).seen_at == NOW
    await session_account(token, NOW + MINUTE)
    assert (await Session.get()).seen_at == NOW + MINUTE


async def test_signing_out_ends_only_this_session(token: str) -> None:
    other = await _signed_in()
    await sign_out(token)
    assert await session_account(token, NOW) is None
    assert await session_account(other, NOW)


async def test_signing_in_deletes_ended_sessions(token: str) -> None:
    assert token
    await sign_in("admin", PASSWORD, NOW + IDLE_TIMEOUT)
    assert (await Session.get()).created_at == NOW + IDLE_TIMEOUT


async def test_a_reset_ends_the_accounts_sessions_and_the_old_password(token: str) -> None:
    await create_account("other", PASSWORD, NOW)
    others = await sign_in("other", PASSWORD, NOW)
    assert others
    changed = new_password()
    await reset_password("admin", changed)
    assert await session_account(token, NOW) is None
    assert await sign_in("admin", PASSWORD, NOW) is None
    assert await sign_in("admin", changed, NOW)
    assert await session_account(others, NOW)


async def test_removing_an_account_removes_its_sessions_and_second_factor(token: str) -> None:
    await create_account("other", PASSWORD, NOW)
    others = await sign_in("other", PASSWORD, NOW)
    account = await Account.get(username="admin")
    await SecondFactor.create(account=account, secret_sealed=b"sealed", confirmed_at=NOW)
    await RecoveryCode.create(code_hash="hash", account=account)
    await remove_account("admin")
    assert others
    assert await session_account(others, NOW)
    assert await session_account(token, NOW) is None
    assert await sign_in("admin", PASSWORD, NOW) is None
    assert (await Session.all().count(), await SecondFactor.exists(), await RecoveryCode.exists()) == (1, False, False)


async def test_the_only_account_is_removed_only_by_force(token: str) -> None:
    with pytest.raises(AccountError, match="the only account"):
        await remove_account("admin")
    assert await session_account(token, NOW)
    await remove_account("admin", force=True)
    assert await list_accounts() == []
    with pytest.raises(AccountError, match="no account 'admin'"):
        await remove_account("admin", force=True)


async def test_a_reset_reports_unknown_accounts_and_short_passwords() -> None:
    with pytest.raises(AccountError, match="no account 'unknown'"):
        await reset_password("unknown", PASSWORD)
    await create_account("admin", PASSWORD, NOW)
    with pytest.raises(AccountError, match="12 to 128"):
        await reset_password("admin", "short")


async def test_a_reset_during_a_login_wins() -> None:
    """A reset after the old password was verified ends the new session."""
    await create_account("admin", PASSWORD, NOW)
    for _ in range(3):
        login, _reset = await asyncio.gather(sign_in("admin", PASSWORD, NOW), reset_password("admin", PASSWORD + "!"))
        assert login is None or await session_account(login, NOW) is None
        await reset_password("admin", PASSWORD)


async def test_a_hash_with_old_parameters_is_renewed_at_the_next_login() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
    await Account.create(username="admin", password_hash=weak, created_at=NOW)
    await _signed_in()
    assert extract_parameters((await Account.get()).password_hash).memory_cost >= 46 * 1024
    await _signed_in()


async def test_accounts_are_listed_by_name() -> None:
    await create_account("b", PASSWORD, NOW)
    await create_account("a", PASSWORD, NOW + MINUTE)
    assert [(account.username, account.created_at) for account in await list_accounts()] == [
        ("a", NOW + MINUTE),
        ("b", NOW),
    ]


async def test_generated_passwords_are_long_and_unique() -> None:
    passwords = {new_password() for _ in range(100)}
    assert len(passwords) == 100
    assert {len(password) for password in passwords} == {23}
