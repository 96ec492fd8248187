"""Parsing the database URL; errors never quote its password."""

import re
from difflib import get_close_matches
from urllib.parse import urlsplit

from app.settings.types import ESCAPES, check_port

_SCHEMES = ("sqlite", "postgres", "postgresql")


def read_database_url(value: str) -> str:
    """Return the URL with the scheme of our driver. Raises ValueError that says what to change."""
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ValueError(_wrong_scheme(value, scheme if separator else ""))
    if scheme == "sqlite":
        _check_file(rest)
        return value
    _check_server(rest)
    return f"postgres://{rest}"


def _wrong_scheme(value: str, scheme: str) -> str:
    if re.match(r"sqlite:/?[^/]", value):
        return "after sqlite: come two slashes, as in sqlite://var/mailbox.db, or three before a path from the root"
    if re.match(r"postgres(ql)?:/?[^/]", value):
        return "after postgres: come two slashes, as in postgres://user:password@host:5432/name"
    if likely := get_close_matches(scheme, _SCHEMES, 1):
        return f"there is no database {scheme}://; is it {likely[0]}://?"
    return "it must begin with sqlite:// or postgres://"


def _check_file(rest: str) -> None:
    path = rest.partition("?")[0]
    if not path.strip("/") or ":memory:" in path:
        raise ValueError("it must name a file, as in sqlite://var/mailbox.db: letters wait there for a month")
    if "#" in path:
        raise ValueError("a path with # cannot be named in it")


def _check_server(rest: str) -> None:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "#" in rest or ("@" in rest and "@" not in authority):
        raise ValueError(f"there is an unescaped /, ? or # before its host; {ESCAPES}")
    parts = urlsplit(f"postgres://{rest}")
    check_port(parts)
    if not parts.path.strip("/"):
        raise ValueError("it must name a database, as in postgres://user:password@host:5432/name")
    if "sslmode=" in parts.query:
        raise ValueError("our driver calls it ssl=require where others say sslmode=require")
