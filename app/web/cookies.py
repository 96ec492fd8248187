"""Cookies: admin session, known browser, login proof, language."""

import hashlib
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from app.crypto import new_token
from app.settings import Settings

SESSION = "session"
PROOF = "proof"
_KNOWN = "known"
_PROVEN = "slow-mailbox password proven"
_PROOF_LASTS = timedelta(minutes=5)
KNOWN_FOR = timedelta(days=180)
"""How long a browser or a network counts as known after a sign-in."""


def read_cookie(request: HTTPConnection, settings: Settings, name: str) -> str:
    return request.cookies.get(_full_name(settings, name), "")


def set_cookie(answer: Response, settings: Settings, name: str, value: str, max_age: int | None = None) -> None:
    """HttpOnly and SameSite (RFC 6265bis §4.1.3)."""
    answer.set_cookie(
        _full_name(settings, name),
        value,
        max_age=max_age,
        secure=_is_secure(settings),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(answer: Response, settings: Settings, name: str) -> None:
    set_cookie(answer, settings, name, "", max_age=0)


def mark_as_known(answer: Response, settings: Settings, username: str) -> None:
    """Remember that the owner has signed in with this browser: failed logins of others do not slow it down."""
    set_cookie(
        answer, settings, _KNOWN, signer(settings).dumps([username, new_token()]), int(KNOWN_FOR.total_seconds())
    )


def known_browser(request: Request, settings: Settings, username: str) -> str:
    """Return the token of a browser that has signed in to this account before, or an empty string."""
    try:
        owner, mark = signer(settings).loads(read_cookie(request, settings, _KNOWN))
    except BadSignature:
        return ""
    return str(mark) if owner == username else ""


def set_proof(answer: Response, settings: Settings, username: str, mark: str, now: datetime) -> None:
    """Remember for a while that the password was right, until the second factor is given."""
    value = signer(settings, _PROVEN).dumps([username, mark, (now + _PROOF_LASTS).isoformat()])
    set_cookie(answer, settings, PROOF, value, int(_PROOF_LASTS.total_seconds()))


def read_proof(request: Request, settings: Settings, now: datetime) -> tuple[str, str] | None:
    """Return the account whose password was just right, and its proof."""
    try:
        username, mark, until = signer(settings, _PROVEN).loads(read_cookie(request, settings, PROOF))
    except BadSignature:
        return None
    return (str(username), str(mark)) if datetime.fromisoformat(until) > now else None


def signer(settings: Settings, salt: str = "slow-mailbox known browser") -> URLSafeSerializer:
    keys = [*reversed(settings.keys())]  # itsdangerous signs with the last, we seal with the first
    kwargs = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    return URLSafeSerializer(keys, salt=salt, signer_kwargs=kwargs)


def _full_name(settings: Settings, name: str) -> str:
    """`__Host-` binds a cookie to this host and to https; browsers refuse it over plain http."""
    return f"__Host-{name}" if _is_secure(settings) else name


def _is_secure(settings: Settings) -> bool:
    return urlsplit(settings.origin).scheme == "https"
