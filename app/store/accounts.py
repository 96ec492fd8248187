"""Accounts, passwords and sessions of the admin pages (docs/standards.md P5, P6)."""

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from app.crypto import new_token, token_hash
from app.errors import AccountError, WeakPassword
from app.store.database import transaction
from app.store.models import Account, Session

IDLE_TIMEOUT = timedelta(minutes=30)
ABSOLUTE_TIMEOUT = timedelta(hours=12)
MIN_LENGTH = 12
MAX_LENGTH = 128
_MAX_INPUT = 4 * MAX_LENGTH  # a Korean syllable in NFD is three code points
_NAME_LIMIT = 64
_NAME_TAKEN = "account {!r} already exists"
_SEEN_INTERVAL = timedelta(minutes=1)
_MIN_SCORE = 3  # of zxcvbn's 0 to 4: more than 10^8 guesses are needed
_SCORED_LENGTH = 64  # characters that zxcvbn reads: on longer ones it takes seconds
_SITE_WORDS = ("slow", "mailbox", "slowmailbox", "slow mailbox", "느린우체통", "느린", "우체통", "비밀번호")
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without characters that look alike

_hasher = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
# Two threads: the event loop stays free, and many logins at once cannot fill the memory.
_threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")


@dataclass(frozen=True, slots=True)
class AccountView:
    username: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session; `current` is that of the request."""

    created_at: datetime
    seen_at: datetime
    current: bool


async def ensure_first_account(username: str, password: str, now: datetime) -> str | None:
    """Create an account if none exists. Returns the generated password where none was given. Raises AccountError."""
    if await Account.exists():
        return None
    chosen = password or new_password()
    if password:
        await _check_password(password, username)
    account = await _new_account(username, chosen, now)
    # Several processes may start at once: the first insert wins, and only that process shows its password.
    await Account.bulk_create([account], ignore_conflicts=True)
    created = await Account.exists(username=username, password_hash=account.password_hash)
    return chosen if created and not password else None


async def create_account(username: str, password: str, now: datetime) -> None:
    await _check_password(password, username)
    account = await _new_account(username, password, now)
    try:
        await account.save()
    except IntegrityError:
        raise AccountError(_NAME_TAKEN.format(username)) from None


async def check_new_name(username: str) -> None:
    _check_name(username)
    if await Account.exists(username=username):
        raise AccountError(_NAME_TAKEN.format(username))


async def check_exists(username: str) -> None:
    await _existing(username)


async def reset_password(username: str, password: str) -> None:
    """Also ends all sessions of the account. Raises AccountError."""
    await _set_password(await _existing(username), password)


async def remove_account(username: str, *, force: bool = False) -> None:
    """Raises AccountError where the account does not exist, or is the only one and `force` is not set."""
    account = await _existing(username)
    if not force and not await Account.exclude(id=account.id).exists():
        raise AccountError(
            f"{username!r} is the only account; create another one first, or remove it with --force: "
            "the next start creates MAILBOX_ADMIN_USERNAME again"
        )
    await account.delete()  # sessions, second factor and recovery codes by cascade


async def list_accounts() -> list[AccountView]:
    return [_view(account) for account in await Account.all().order_by("username")]


async def verify_password(username: str, password: str) -> str | None:
    """Return a proof that is valid until the password changes; None where the name or the password is wrong.

    An unknown name takes as long as a wrong password.
    """
    account = await _find(username)
    if account is None:
        await _hash(password)
        return None
    if not await _verify(account.password_hash, password):
        return None
    await _rehash(account, password)
    return token_hash(account.password_hash)


async def is_valid_proof(username: str, proof: str) -> bool:
    account = await _find(username)
    return account is not None and token_hash(account.password_hash) == proof


async def open_session(username: str, proof: str, now: datetime) -> str | None:
    """Return a new session's token; None where the password has changed since `verify_password` returned `proof`."""
    account = await _find(username)
    return await _new_session(account, now) if account and token_hash(account.password_hash) == proof else None


async def known_name(username: str) -> str | None:
    account = await _find(username)
    return account.username if account else None


async def session_account(token: str, now: datetime) -> AccountView | None:
    """Return the account of an active session and renew its idle timeout; None where it has ended."""
    active = Session.filter(
        token_hash=token_hash(token), created_at__gt=now - ABSOLUTE_TIMEOUT, seen_at__gt=now - IDLE_TIMEOUT
    )
    session = await active.select_related("account").first()
    if session is None:
        return None
    if now - session.seen_at >= _SEEN_INTERVAL:
        await Session.filter(token_hash=session.token_hash).update(seen_at=now)
    return _view(session.account)


async def change_password(username: str, password: str, now: datetime) -> str | None:
    """Set a password, end all sessions, and return the token of a new one; None after a concurrent change.

    Raises WeakPassword where it is easy to guess, AccountError where its length is wrong or the account is gone.
    """
    account = await _existing(username)
    await _set_password(account, password)
    return await _new_session(account, now)


async def list_sessions(username: str, token: str, now: datetime) -> list[SessionView]:
    active = Session.filter(
        account__username=username, created_at__gt=now - ABSOLUTE_TIMEOUT, seen_at__gt=now - IDLE_TIMEOUT
    )
    current = token_hash(token)
    return [
        SessionView(each.created_at, each.seen_at, each.token_hash == current)
        for each in await active.order_by("-created_at")
    ]


async def end_other_sessions(username: str, token: str) -> None:
    account = await Account.get(username=username)
    await Session.filter(account_id=account.id).exclude(token_hash=token_hash(token)).delete()


async def sign_out(token: str) -> None:
    await Session.filter(token_hash=token_hash(token)).delete()


async def drop_ended_sessions(now: datetime) -> int:
    return await Session.filter(Q(created_at__lte=now - ABSOLUTE_TIMEOUT) | Q(seen_at__lte=now - IDLE_TIMEOUT)).delete()


def new_password() -> str:
    """Return a password of 99 random bits that can be read out and typed."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


async def _set_password(account: Account, password: str) -> None:
    await _check_password(password, account.username)
    account.password_hash = await _hash(password)
    async with transaction():
        await Account.filter(id=account.id).update(password_hash=account.password_hash)
        await Session.filter(account_id=account.id).delete()


async def _new_session(account: Account, now: datetime) -> str | None:
    token = new_token()
    await drop_ended_sessions(now)
    await Session.create(token_hash=token_hash(token), account=account, created_at=now, seen_at=now)
    # A reset that ran while the old password was being verified has not deleted this session.
    if not await Account.exists(id=account.id, password_hash=account.password_hash):
        await sign_out(token)
        return None
    return token


async def _rehash(account: Account, password: str) -> None:
    """Renew the hash where the parameters were raised since; only here is the password known."""
    if not _hasher.check_needs_rehash(account.password_hash):
        return
    old, account.password_hash = account.password_hash, await _hash(password)
    await Account.filter(id=account.id, password_hash=old).update(password_hash=account.password_hash)


async def _new_account(username: str, password: str, now: datetime) -> Account:
    _check_name(username)
    return Account(username=username, password_hash=await _hash(password), created_at=now)


async def _existing(username: str) -> Account:
    account = await _find(username)
    if account is None:
        raise AccountError(f"there is no account {username!r}")
    return account


async def _find(username: str) -> Account | None:
    # PostgreSQL raises for a NUL in a text.
    return await Account.get_or_none(username=username) if is_valid_name(username) else None


def is_valid_name(username: str) -> bool:
    return 0 < len(username) <= _NAME_LIMIT and username.isprintable() and username == username.strip()


def _check_name(username: str) -> None:
    if not is_valid_name(username):
        raise AccountError(f"{username!r} is not a valid account name: 1 to {_NAME_LIMIT} characters, all visible")


async def _check_password(password: str, username: str) -> None:
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise AccountError(f"a password must have {MIN_LENGTH} to {MAX_LENGTH} characters, not {len(password)}")
    if await asyncio.get_running_loop().run_in_executor(_threads, is_guessable, password, username):
        raise WeakPassword("this password is easy to guess; choose several unrelated words")


def is_guessable(password: str, username: str) -> bool:
    """ASVS 6.2.4, 6.2.11. Takes up to seconds, in pure Python."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - 0.2 s and 30,000 words, seldom needed

    score: int = zxcvbn(password[:_SCORED_LENGTH], user_inputs=[username, *_SITE_WORDS])["score"]
    return score < _MIN_SCORE


async def _hash(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, _normalized(password))


async def _verify(hashed: str, password: str) -> bool:
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_threads, _hasher.verify, hashed, _normalized(password))
    except VerificationError:
        return False


def _normalized(password: str) -> str:
    """NIST SP 800-63B §5.1.1.2."""
    return unicodedata.normalize("NFKC", password[:_MAX_INPUT])  # quadratic in a run of combining marks


def _view(account: Account) -> AccountView:
    return AccountView(account.username, account.created_at)
