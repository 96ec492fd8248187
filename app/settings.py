"""All settings; the only reader of the environment and of `.env`."""

import contextlib
import os
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from email.utils import getaddresses
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.schedule import LONGEST, Delay, parse_duration
from app.errors import SettingsError
from app.keys import KEY_LENGTH, keys_in, make_key

PREFIX = "MAILBOX_"
ENV_FILE = ".env"


def _split(value: object) -> object:
    """Read `a, b` as two entries."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _delay(value: object) -> object:
    return Delay.parse(value) if isinstance(value, str) else value


def _switch(value: object) -> object:
    return {"on": True, "off": False}.get(value.lower(), value) if isinstance(value, str) else value


Duration = Annotated[timedelta, NoDecode, BeforeValidator(_duration), Field(gt=timedelta(), le=LONGEST)]
Arrival = Annotated[Delay, NoDecode, BeforeValidator(_delay)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Security = Literal["none", "starttls", "tls"]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


_SCHEMES: dict[str, tuple[Security, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where letters are handed over, and how the way there is secured."""

    host: str
    port: int
    security: Security
    username: str
    password: str


class Settings(BaseSettings):
    """What the operator decides. Each is read from `MAILBOX_` and its name in capitals.

    Durations are ISO 8601 (`P7D`, `PT30S`); switches are `on` or `off`; lists are separated by
    commas.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=ENV_FILE, extra="ignore", frozen=True)

    database_url: str = "sqlite://var/mailbox.db"
    smtp_url: str = ""
    outbox_dir: Path = Path("var/outbox")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    base_url: str = ""
    sender: str = "Slow Mailbox <letters@localhost.localdomain>"
    first_delay: Arrival = Delay(days=7)
    second_delay: Arrival = Delay(days=30)
    scan_interval: Duration = timedelta(minutes=1)
    paused: Switch = False
    smtp_connections: int = Field(10, ge=1, le=1000)
    smtp_messages_per_connection: int = Field(1000, ge=1)
    rate: int | None = Field(None, ge=1)
    rate_per_domain: int | None = Field(None, ge=1)
    on_uncertain: Literal["resend", "hold"] = "resend"
    lease: Duration = timedelta(seconds=30)
    catch_up_limit: Duration = timedelta(days=14)
    keep: Duration = timedelta(days=30)
    timezone: str = "UTC"
    secret_key: Words = ()
    secret_key_file: Path | None = None
    admin_username: str = Field("admin", min_length=1, max_length=64)
    admin_password: str = ""
    reply_to: str = ""
    operator_name: str = ""
    abuse_address: str = ""
    allowed_hosts: Words = ()
    trusted_proxies: Words = ()
    rate_limits: Switch = True
    api_docs: Switch = False

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no IANA time zone such as Asia/Seoul")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("sqlite", "postgres"):
            raise ValueError("it must begin with sqlite:// or postgres://")
        if parts.scheme == "postgres":
            _check_port(parts)
            if "sslmode=" in parts.query:
                raise ValueError("our driver calls it ssl=require where others say sslmode=require")
        elif not parts.netloc + parts.path or ":memory:" in value:
            raise ValueError("it must name a file, as in sqlite://var/mailbox.db: letters wait there for a month")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _known_transport(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in _SCHEMES or not parts.hostname or parts.path.strip("/"):
                raise ValueError("it must look like smtps://user:password@host:465 (or smtp://, smtp+starttls://)")
            _check_port(parts)
            if parts.username and parts.scheme == "smtp":
                raise ValueError("a password never travels in clear: use smtp+starttls:// or smtps://")
        return value

    @field_validator("sender")
    @classmethod
    def _one_sender(cls, value: str) -> str:
        if not _is_mailbox(value):
            raise ValueError("it must look like Slow Mailbox <letters@example.org>")
        return value

    @field_validator("reply_to", "abuse_address")
    @classmethod
    def _one_address_or_none(cls, value: str) -> str:
        if value and not _is_mailbox(value):
            raise ValueError("it must be one address, such as post@example.org")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            ip_network(proxy)  # raises ValueError that quotes it
        return value

    @field_validator("base_url")
    @classmethod
    def _whole_url(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise ValueError("it must look like https://letters.example.org")
            _check_port(parts)
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _long_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(key) < KEY_LENGTH for key in value):
            raise ValueError(f"a key has at least {KEY_LENGTH} characters; make one with: openssl rand -base64 32")
        return value

    @model_validator(mode="after")
    def _second_after_first(self) -> "Settings":
        if not self.second_delay.always_beyond(self.first_delay):
            raise ValueError(
                "MAILBOX_SECOND_DELAY: it must be longer than MAILBOX_FIRST_DELAY "
                "(by more than a day, where one of them is in days and the other in PT…)"
            )
        return self

    @property
    def origin(self) -> str:
        """The address under which people reach the pages; every mailed link begins with it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url or f"http://{host}:{self.port}"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def smtp(self) -> SmtpServer | None:
        """The mail server, or None where letters go to the outbox folder."""
        if not self.smtp_url:
            return None
        parts = urlsplit(self.smtp_url)
        security, default_port = _SCHEMES[parts.scheme]
        return SmtpServer(
            host=parts.hostname or "",
            port=parts.port or default_port,
            security=security,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    def keys(self) -> tuple[str, ...]:
        """Return the secret keys, the one to seal with first.

        Without `SECRET_KEY` they are read from the key file, a line each. Where nothing but the
        outbox is used and no file is named, one is made beside it, so that a newcomer's letters
        are sealed too.

        Raises SettingsError where the file cannot be read, or a real mail server is set and
        there is no key: a key that was made in passing is lost as easily.
        """
        if self.secret_key:
            return self.secret_key
        if self.secret_key_file:
            return keys_in(self.secret_key_file)
        path = self.outbox_dir.parent / "secret.key"
        if self.smtp_url:
            mend = (
                f"letters were sealed with {path} so far: keep it safe, and name it in MAILBOX_SECRET_KEY_FILE"
                if path.exists()
                else "make it with: openssl rand -base64 32"
            )
            raise SettingsError(f"MAILBOX_SECRET_KEY: it is missing, and letters are not sent without one; {mend}")
        if not path.exists():
            make_key(path)
        return keys_in(path)


def _check_port(parts: SplitResult) -> None:
    """Raise ValueError where the port is none. The stdlib's own message would quote half a password."""
    with contextlib.suppress(ValueError):
        if parts.port != 0:
            return
    raise ValueError("its port must be a number from 1 to 65535 (in a password, write / as %2F, @ as %40, : as %3A)")


def _is_mailbox(value: str) -> bool:
    """Whether this is exactly one address, with or without a name, that may stand in a header."""
    match getaddresses([value]):
        case [(_, address)] if value.isprintable() and address.isascii():
            local, _, domain = address.rpartition("@")
            return bool(local and domain) and not set(local + domain) & set(' @,;:<>"()[]\\')
    return False


def load_settings() -> Settings:
    """Read the environment and `.env`.

    Raises SettingsError with one line that names the first wrong setting.
    """
    try:
        _refuse_unknown({*os.environ, *dotenv_values(ENV_FILE)})
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{ENV_FILE}: it cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        message = str(first["msg"]).removeprefix("Value error, ")
        name = "".join(f"{PREFIX}{str(part).upper()}: " for part in first["loc"][:1])
        raise SettingsError(f"{name}{message}") from None


def _refuse_unknown(names: set[str]) -> None:
    """A setting that is silently ignored is worse than none: somebody relies on it."""
    known = {name.upper() for name in Settings.model_fields}
    given = {name.upper().removeprefix(PREFIX) for name in names if name.upper().startswith(PREFIX)}
    for name in sorted(given - known):
        if not name.startswith("TEST_"):  # what our own tests are told
            nearest = get_close_matches(name, known, 1)
            mend = f"; is it {PREFIX}{nearest[0]}?" if nearest else ""
            raise SettingsError(f"{PREFIX}{name}: there is no such setting{mend}")
