"""Who may enter the admin page: accounts, passwords and sessions (STANDARDS.md P5, P6)."""

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from app.errors import AccountError
from app.sealing import new_token, token_hash
from app.store.models import Account, Session

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
SHORTEST = 12
LONGEST = 128
_NAME_LIMIT = 64
_SEEN = timedelta(minutes=1)
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another when copied from paper

_hasher = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
# Two threads: hashing leaves the event loop free, and a crowd at the door cannot fill the memory.
_threads = ThreadPoolExecutor(2, thread_name_prefix="argon2")


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as others see it."""

    username: str
    created_at: datetime


async def ensure_first_account(username: str, password: str, now: datetime) -> str | None:
    """Create an account where there is none at all.

    Returns the password that was made, to be shown once, or None: the given one was taken, or
    nobody needed an account. Raises AccountError for a name or password that is not good enough.
    """
    if await Account.exists():
        return None
    chosen = password or new_password()
    hashed = await _hash_of(_checked_name(username), _checked_password(chosen))
    # Several processes may start at once: the first to write decides, and only it shows its password.
    await Account.bulk_create([_account(username, hashed, now)], ignore_conflicts=True)
    ours = await Account.exists(username=username, password_hash=hashed)
    return chosen if ours and not password else None


async def create_account(username: str, password: str, now: datetime) -> None:
    """Let somebody in.

    Raises AccountError where the name is taken, or the name or the password is not good enough.
    """
    hashed = await _hash_of(_checked_name(username), _checked_password(password))
    try:
        await _account(username, hashed, now).save()
    except IntegrityError:
        raise AccountError(f"there is an account {username!r} already") from None


async def reset_password(username: str, password: str) -> None:
    """Give an account another password and end all its sessions.

    Raises AccountError where there is no such account, or the password is not good enough.
    """
    hashed = await _hash_of(username, _checked_password(password))
    if not await Account.filter(username=_checked_name(username)).update(password_hash=hashed):
        raise AccountError(f"there is no account {username!r}")
    await Session.filter(account__username=username).delete()


async def list_accounts() -> list[AccountView]:
    """Return all accounts by name."""
    return [_view(account) for account in await Account.all().order_by("username")]
