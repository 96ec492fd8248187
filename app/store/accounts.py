"""Who may enter the admin page: accounts, passwords and sessions (docs/standards.md P5, P6)."""

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
SHORTEST = 12
LONGEST = 128
_LONGEST_TYPED = 4 * LONGEST  # a syllable that a system takes apart (NFD) is three code points
_NAME_LIMIT = 64
_SEEN_EVERY = timedelta(minutes=1)
_LEAST_SCORE = 3
"""Of zxcvbn's 0 to 4: more than 10^8 guesses are needed."""
_JUDGED = 64
"""Characters of a password that zxcvbn looks at: its time grows faster than their number, to seconds."""
_SITE = ("slow", "mailbox", "slowmailbox", "slow mailbox", "느린우체통", "느린", "우체통", "비밀번호")
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another when copied from paper

_hasher = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
# Two threads: the event loop stays free, and a crowd at the door cannot fill the memory.
_threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as others see it."""

    username: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SessionView:
    """A login of one's own; `here` is the one that asks."""

    created_at: datetime
    seen_at: datetime
    current: bool


async def ensure_first_account(username: str, password: str, now: datetime) -> str | None:
    """Create an account where there is none at all.

    Returns the password that was made because none was given; it is to be shown once. Raises
    AccountError for a name or a password that is not good enough.
    """
    if await Account.exists():
        return None
    chosen = password or new_password()
    if password:
        await _check_password(password, username)
    account = await _new_account(username, chosen, now)
    # Several processes may start at once: the first to write decides, and only it shows its password.
    await Account.bulk_create([account], ignore_conflicts=True)
    ours = await Account.exists(username=username, password_hash=account.password_hash)
    return chosen if ours and not password else None


async def create_account(username: str, password: str, now: datetime) -> None:
    """Create an account.

    Raises AccountError where the name is taken, or it or the password is not good enough.
    """
    await _check_password(password, username)
    account = await _new_account(username, password, now)
    try:
        await account.save()
    except IntegrityError:
        raise _taken(username) from None


async def check_new_name(username: str) -> None:
    """Raises AccountError where no account can be created with this name."""
    _check_name(username)
    if await Account.exists(username=username):
        raise _taken(username)


async def check_exists(username: str) -> None:
    """Raises AccountError where there is no such account."""
    await _existing(username)


async def reset_password(username: str, password: str) -> None:
    """Give an account another password and end its sessions.

    Raises AccountError where there is no such account, or the password is not good enough.
    """
    await _set_password(await _existing(username), password)


async def remove_account(username: str, *, force: bool = False) -> None:
    """Remove an account with its sessions and its second factor; the activity log keeps its name.

    Raises AccountError where there is no such account, or no other one.
    """
    account = await _existing(username)
    if not force and not await Account.exclude(id=account.id).exists():
        raise AccountError(
            f"{username!r} is the only account; create another one first, or remove it with --force: "
            "the next start creates MAILBOX_ADMIN_USERNAME anew"
        )
    await account.delete()  # its sessions, its second factor and its recovery codes go by cascade


async def list_accounts() -> list[AccountView]:
    """Return all accounts by name."""
    return [_view(account) for account in await Account.all().order_by("username")]


async def sign_in(username: str, password: str, now: datetime) -> str | None:
    """Return a new session's token, or None: name and password do not belong together."""
    mark = await verify_password(username, password)
    return await open_session(username, mark, now) if mark else None


async def verify_password(username: str, password: str) -> str | None:
    """Return a mark that says name and password belong together, until the password is another; None: they do not.

    An unknown name takes as long as a wrong password.
    """
    account = await _find(username)
    if account is None:
        await _hashed(password)
        return None
    if not await _verified(account.password_hash, password):
        return None
    await _rehash(account, password)
    return token_hash(account.password_hash)


async def is_valid_proof(username: str, mark: str) -> bool:
    """Return whether `verify_password` gave this mark for the present password."""
    account = await _find(username)
    return account is not None and token_hash(account.password_hash) == mark


async def open_session(username: str, mark: str, now: datetime) -> str | None:
    """Return a new session's token for whom `verify_password` gave this mark; None: the password has been changed since."""
    account = await _find(username)
    return await _new_session(account, now) if account and token_hash(account.password_hash) == mark else None


async def known_name(username: str) -> str | None:
    """Return the name if an account has it."""
    account = await _find(username)
    return account.username if account else None


async def session_account(token: str, now: datetime) -> AccountView | None:
    """Return whose session this is, and keep it from idling; None where it has ended."""
    living = Session.filter(
        token_hash=token_hash(token), created_at__gt=now - ABSOLUTE_TIMEOUT, seen_at__gt=now - IDLE_TIMEOUT
    )
    session = await living.select_related("account").first()
    if session is None:
        return None
    if now - session.seen_at >= _SEEN_EVERY:
        await Session.filter(token_hash=session.token_hash).update(seen_at=now)
    return _view(session.account)


async def change_password(username: str, password: str, now: datetime) -> str | None:
    """Give an account another password, end its sessions, and return the token of a new one.

    None: another change came in between. Raises WeakPassword where it is easy to guess,
    AccountError where it is too short or too long, or the account is gone.
    """
    account = await _existing(username)
    await _set_password(account, password)
    return await _new_session(account, now)


async def list_sessions(username: str, token: str, now: datetime) -> list[SessionView]:
    """Return the living sessions of an account, newest first; `token` is that of the one that asks."""
    living = Session.filter(
        account__username=username, created_at__gt=now - ABSOLUTE_TIMEOUT, seen_at__gt=now - IDLE_TIMEOUT
    )
    here = token_hash(token)
    return [
        SessionView(each.created_at, each.seen_at, each.token_hash == here)
        for each in await living.order_by("-created_at")
    ]


async def end_other_sessions(username: str, token: str) -> None:
    """End all sessions of an account but this one."""
    account = await Account.get(username=username)
    await Session.filter(account_id=account.id).exclude(token_hash=token_hash(token)).delete()


async def sign_out(token: str) -> None:
    """End a session. It is dead on the server, whatever the browser keeps."""
    await Session.filter(token_hash=token_hash(token)).delete()


async def drop_ended_sessions(now: datetime) -> int:
    """Drop the logins that have run out; returns how many."""
    return await Session.filter(Q(created_at__lte=now - ABSOLUTE_TIMEOUT) | Q(seen_at__lte=now - IDLE_TIMEOUT)).delete()


def new_password() -> str:
    """Return a password of 99 random bits that can be read out and typed."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


async def _set_password(account: Account, password: str) -> None:
    await _check_password(password, account.username)
    account.password_hash = await _hashed(password)
    async with transaction():
        await Account.filter(id=account.id).update(password_hash=account.password_hash)
        await Session.filter(account_id=account.id).delete()


async def _new_session(account: Account, now: datetime) -> str | None:
    token = new_token()
    await drop_ended_sessions(now)
    await Session.create(token_hash=token_hash(token), account=account, created_at=now, seen_at=now)
    # A reset that came while the old password was being verified has not seen this session.
    if not await Account.exists(id=account.id, password_hash=account.password_hash):
        await sign_out(token)
        return None
    return token


async def _rehash(account: Account, password: str) -> None:
    """Hash anew where the parameters were raised since; only now is the password at hand."""
    if not _hasher.check_needs_rehash(account.password_hash):
        return
    old, account.password_hash = account.password_hash, await _hashed(password)
    await Account.filter(id=account.id, password_hash=old).update(password_hash=account.password_hash)


async def _new_account(username: str, password: str, now: datetime) -> Account:
    _check_name(username)
    return Account(username=username, password_hash=await _hashed(password), created_at=now)


def _taken(username: str) -> AccountError:
    return AccountError(f"there is an account {username!r} already")


async def _existing(username: str) -> Account:
    account = await _find(username)
    if account is None:
        raise AccountError(f"there is no account {username!r}")
    return account


async def _find(username: str) -> Account | None:
    # PostgreSQL raises for a NUL in a text; such a name is nobody's.
    return await Account.get_or_none(username=username) if _good_name(username) else None


def _good_name(username: str) -> bool:
    return 0 < len(username) <= _NAME_LIMIT and username.isprintable() and username == username.strip()


def _check_name(username: str) -> None:
    if not _good_name(username):
        raise AccountError(f"{username!r} is no name for an account: 1 to {_NAME_LIMIT} characters, all visible")


async def _check_password(password: str, username: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST:
        raise AccountError(f"a password has {SHORTEST} to {LONGEST} characters, and this one has {len(password)}")
    if await asyncio.get_running_loop().run_in_executor(_threads, is_guessable, password, username):
        raise WeakPassword("this password is easy to guess; take several words that have nothing to do with each other")


def is_guessable(password: str, username: str) -> bool:
    """Return whether a password is easy to guess (ASVS 6.2.4, 6.2.11). It takes up to seconds, in pure Python."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - 0.2 s and 30,000 words, for the rare moment when a password is set

    score: int = zxcvbn(password[:_JUDGED], user_inputs=[username, *_SITE])["score"]
    return score < _LEAST_SCORE


async def _hashed(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, _one_spelling(password))


async def _verified(hashed: str, password: str) -> bool:
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_threads, _hasher.verify, hashed, _one_spelling(password))
    except VerificationError:
        return False


def _one_spelling(password: str) -> str:
    """Return one form of what keyboards and systems write differently (NIST SP 800-63B §5.1.1.2)."""
    return unicodedata.normalize("NFKC", password[:_LONGEST_TYPED])  # quadratic in a run of combining marks


def _view(account: Account) -> AccountView:
    return AccountView(account.username, account.created_at)
