from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.schedule import LONGEST, Delay
from app.errors import SettingsError
from app.settings.database_url import read_database_url
from app.settings.keys import KEY_LENGTH, keys_in, make_key
from app.settings.types import (
    SMTP_SCHEMES,
    ArrivalDelay,
    Duration,
    Period,
    SmtpServer,
    Strings,
    Switch,
    check_port,
    is_mailbox,
)

PREFIX = "MAILBOX_"
ENV_FILE = ".env"


class Settings(BaseSettings):
    """Each is read from `MAILBOX_` and its name in capitals.

    Durations are ISO 8601 (`P7D`, `PT30S`); switches are `on` or `off`; lists are separated by
    commas.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=ENV_FILE, extra="ignore", frozen=True)

    database_url: str = "sqlite://var/mailbox.db"
    smtp_url: str = ""
    outbox_dir: Path = Path("var/outbox")
    journal_dir: Path = Path("var/journal")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    base_url: str = ""
    sender: str = "Slow Mailbox <letters@localhost.localdomain>"
    first_delay: ArrivalDelay = Delay(days=7)
    second_delay: ArrivalDelay = Delay(days=30)
    min_days: int = Field(1, ge=1, le=LONGEST.days)
    max_days: int = Field(3653, ge=1, le=LONGEST.days)
    edit_window: Period = timedelta(hours=1)
    scan_interval: Duration = timedelta(minutes=1)
    paused: Switch = False
    smtp_connections: int = Field(10, ge=1, le=1000)
    smtp_messages_per_connection: int = Field(1000, ge=1)
    rate: int | None = Field(None, ge=1)
    rate_per_domain: int | None = Field(None, ge=1)
    on_uncertain: Literal["resend", "hold"] = "resend"
    confirmation: Literal["off", "required"] = "off"
    lease: Duration = timedelta(seconds=30)
    max_lateness: Duration = timedelta(days=14)
    retention: Duration = timedelta(days=30)
    timezone: str = "UTC"
    secret_key: Strings = ()
    secret_key_file: Path | None = None
    admin_username: str = Field("admin", min_length=1, max_length=64)
    admin_password: str = ""
    admin_second_factor: Literal["optional", "required"] = "optional"
    reply_to: str = ""
    operator_name: str = ""
    abuse_address: str = ""
    allowed_hosts: Strings = ()
    trusted_proxies: Strings = ()
    metrics_allow: Strings = ()
    request_timeout: Duration = timedelta(minutes=1)
    rate_limits: Switch = True
    posts_per_hour: int = Field(360, ge=1)
    quota_per_address: int = Field(50, ge=1)
    quota_per_domain: int = Field(2_000, ge=2)
    quota_per_day: int = Field(10_000, ge=2)
    notices_per_address: int = Field(10, ge=1)
    language: Literal["en", "ko"] = "en"
    alert_email: str = ""
    alert_webhook: str = ""
    alert_max_delay: Duration = timedelta(hours=1)
    alert_failure_percent: int = Field(10, ge=1, le=100)
    ping_url: str = ""
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
        return read_database_url(value)

    @field_validator("smtp_url")
    @classmethod
    def _known_transport(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in SMTP_SCHEMES or not parts.hostname or parts.path.strip("/"):
                raise ValueError("it must look like smtps://user:password@host:465 (or smtp://, smtp+starttls://)")
            check_port(parts)
            if parts.username and parts.scheme == "smtp":
                raise ValueError("a password never travels in clear: use smtp+starttls:// or smtps://")
        return value

    @field_validator("sender")
    @classmethod
    def _one_sender(cls, value: str) -> str:
        if not is_mailbox(value):
            raise ValueError("it must look like Slow Mailbox <letters@example.org>")
        return value

    @field_validator("reply_to", "abuse_address", "alert_email")
    @classmethod
    def _one_address_or_none(cls, value: str) -> str:
        if value and not is_mailbox(value):
            raise ValueError("it must be one address, such as post@example.org")
        return value

    @field_validator("trusted_proxies", "metrics_allow")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network)  # raises ValueError that quotes it
        return value

    @field_validator("base_url")
    @classmethod
    def _whole_url(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise ValueError("it must look like https://letters.example.org")
            check_port(parts)
        return value.rstrip("/")

    @field_validator("alert_webhook", "ping_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("it must look like https://hooks.example.org/services/name")
        return value

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

    @model_validator(mode="after")
    def _days_to_choose_from(self) -> "Settings":
        if self.max_days < self.min_days:
            raise ValueError("MAILBOX_MAX_DAYS: it must not be less than MAILBOX_MIN_DAYS")
        return self

    @property
    def origin(self) -> str:
        """The public address of the pages; every mailed link begins with it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url or f"http://{host}:{self.port}"

    @property
    def confirms(self) -> bool:
        """Whether letters wait until an address confirms."""
        return self.confirmation == "required"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def smtp(self) -> SmtpServer | None:
        """None where mails go to the outbox folder."""
        if not self.smtp_url:
            return None
        parts = urlsplit(self.smtp_url)
        security, default_port = SMTP_SCHEMES[parts.scheme]
        return SmtpServer(
            host=parts.hostname or "",
            port=parts.port or default_port,
            security=security,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    def keys(self) -> tuple[str, ...]:
        """Return the secret keys; the first one encrypts.

        Without `SECRET_KEY` they are read from the key file, one per line. Where only the outbox is used
        and no file is named, one is created beside it, so that a first try is encrypted, too.

        Raises SettingsError where the file cannot be read, or a mail server is set and there is no key:
        a generated one is easily lost.
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
