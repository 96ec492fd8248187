"""The second factor of accounts: codes of an authenticator (TOTP, RFC 6238), and recovery codes.

A code is accepted once (RFC 6238 §5.2): the statement that accepts it stores its time step, so of
two concurrent logins with one code only one succeeds.
"""

import secrets
from datetime import datetime
from uuid import uuid4

import pyotp
from tortoise.exceptions import IntegrityError

from app.crypto import token_hash
from app.errors import AccountError
from app.store.cipher import LetterCipher
from app.store.database import transaction
from app.store.execution import retried
from app.store.models import Account, Session
from app.store.operator_models import RecoveryCode, SecondFactor

_STEP = 30  # seconds
_DRIFT = 1  # steps, by which the phone's clock may be wrong
_RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without look-alikes


async def is_on(username: str) -> bool:
    return await SecondFactor.filter(account__username=username).exists()


def new_secret() -> str:
    return pyotp.random_base32()


@retried
async def switch_on(cipher: LetterCipher, username: str, secret: str, code: str, now: datetime) -> list[str]:
    """Enable the second factor with its first code, end all sessions, and return the recovery codes.

    An empty list: the code is wrong. Raises AccountError where it is enabled already.
    """
    account = await Account.get(username=username)
    step = _step_of(secret, code, now)
    if step is None:
        return []
    enrolment = uuid4()
    sealed = cipher.seal_secret(account.id, enrolment, secret)
    codes = ["-".join(_random(5) for _ in range(3)) for _ in range(_RECOVERY_CODES)]
    try:
        async with transaction():
            await SecondFactor.create(
                account=account, enrolment=enrolment, secret_sealed=sealed, confirmed_at=now, last_step=step
            )
            hashes = [RecoveryCode(code_hash=token_hash(each), account=account) for each in codes]
            await RecoveryCode.bulk_create(hashes)
            await Session.filter(account_id=account.id).delete()
    except IntegrityError:
        raise AccountError("this account has a second factor already") from None
    return codes


async def accept(cipher: LetterCipher, username: str, code: str, now: datetime) -> bool:
    factor = await SecondFactor.get_or_none(account__username=username)
    step = _step_of(cipher.open_secret(factor), code, now) if factor else None
    if factor is None or step is None:
        return False
    return bool(await SecondFactor.filter(id=factor.id, last_step__lt=step).update(last_step=step))


async def accept_recovery(username: str, code: str) -> bool:
    account = await Account.get_or_none(username=username)
    if account is None:
        return False
    code_hash = token_hash(code.strip().lower())
    return bool(await RecoveryCode.filter(code_hash=code_hash, account_id=account.id).delete())


async def recovery_codes_left(username: str) -> int:
    return await RecoveryCode.filter(account__username=username).count()


@retried
async def remove(username: str) -> None:
    account = await Account.get(username=username)
    async with transaction():
        await SecondFactor.filter(account_id=account.id).delete()
        await RecoveryCode.filter(account_id=account.id).delete()
        await Session.filter(account_id=account.id).delete()


def enrolment_uri(username: str, secret: str, issuer: str) -> str:
    """Return the content of the QR code (Google's Key URI format)."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=issuer)


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    digits = "".join(code.split())
    if not (digits.isascii() and digits.isdecimal()):
        return None
    totp = pyotp.TOTP(secret)
    current = int(now.timestamp()) // _STEP
    near = range(current - _DRIFT, current + _DRIFT + 1)
    return next((step for step in near if secrets.compare_digest(totp.at(step * _STEP), digits)), None)


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
