"""Every setting: a good value is taken, a wrong one stops the start with one line that names it."""

import re
import stat
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.domain.schedule import Delay
from app.errors import SettingsError
from app.settings import Settings, SmtpServer, load_settings

KEY = "k" * 32
MINUTE = timedelta(minutes=1)
GOOD: list[tuple[str, str, object]] = [
    ("DATABASE_URL", "postgres://u:p@db.example.org:5432/mailbox", "postgres://u:p@db.example.org:5432/mailbox"),
    ("DATABASE_URL", "postgres://u@db/mailbox?ssl=require", "postgres://u@db/mailbox?ssl=require"),
    ("DATABASE_URL", "postgresql://u:p@db/mailbox", "postgres://u:p@db/mailbox"),
    ("DATABASE_URL", "postgres://u:a%23b@c:d@db/mailbox", "postgres://u:a%23b@c:d@db/mailbox"),
    ("DATABASE_URL", "sqlite:///srv/mailbox.db", "sqlite:///srv/mailbox.db"),
    ("OUTBOX_DIR", "/srv/outbox", Path("/srv/outbox")),
    ("HOST", "0.0.0.0", "0.0.0.0"),
    ("PORT", "8080", 8080),
    ("BASE_URL", "https://letters.example.org/", "https://letters.example.org"),
    ("SENDER", "느린 우체통 <letters@example.org>", "느린 우체통 <letters@example.org>"),
    ("SENDER", "letters@example.org", "letters@example.org"),
    ("SENDER", '"Mailbox, Slow" <letters@example.org>', '"Mailbox, Slow" <letters@example.org>'),
    ("FIRST_DELAY", "PT5S", Delay(elapsed=timedelta(seconds=5))),
    ("SECOND_DELAY", "P9W", Delay(days=63)),
    ("EDIT_WINDOW", "PT0S", timedelta()),
    ("SCAN_INTERVAL", "PT1S", timedelta(seconds=1)),
    ("LEASE", "PT1M30S", timedelta(seconds=90)),
    ("MAX_LATENESS", "P2W", timedelta(days=14)),
    ("PAUSED", "on", True),
    ("PAUSED", "OFF", False),
    ("RATE_LIMITS", "off", False),
    ("POSTS_PER_HOUR", "1000", 1000),
    ("QUOTA_PER_ADDRESS", "5", 5),
    ("QUOTA_PER_DOMAIN", "100", 100),
    ("QUOTA_PER_DAY", "500", 500),
    ("NOTICES_PER_ADDRESS", "3", 3),
    ("RETENTION", "P1D", timedelta(days=1)),
    ("API_DOCS", "on", True),
    ("SMTP_CONNECTIONS", "50", 50),
    ("SMTP_MESSAGES_PER_CONNECTION", "1", 1),
    ("RATE", "600", 600),
    ("RATE_PER_DOMAIN", "60", 60),
    ("ON_UNCERTAIN", "hold", "hold"),
    ("TIMEZONE", "Asia/Seoul", "Asia/Seoul"),
    ("SECRET_KEY", KEY, (KEY,)),
    ("SECRET_KEY", f"{'n' * 40} , {KEY}", ("n" * 40, KEY)),
    ("SECRET_KEY_FILE", "/run/secrets/key", Path("/run/secrets/key")),
    ("ADMIN_USERNAME", "postmaster", "postmaster"),
    ("ADMIN_PASSWORD", "correct horse battery", "correct horse battery"),
    ("REPLY_TO", "Post <post@example.org>", "Post <post@example.org>"),
    ("OPERATOR_NAME", "우체국", "우체국"),
    ("ABUSE_ADDRESS", "abuse@example.org", "abuse@example.org"),
    ("ALLOWED_HOSTS", "a.example.org, b.example.org,", ("a.example.org", "b.example.org")),
    ("CONFIRMATION", "required", "required"),
    ("ADMIN_SECOND_FACTOR", "required", "required"),
    ("JOURNAL_DIR", "/srv/answers", Path("/srv/answers")),
    ("REQUEST_TIMEOUT", "PT5S", timedelta(seconds=5)),
    ("LANGUAGE", "ko", "ko"),
    ("ALERT_EMAIL", "ops@example.org", "ops@example.org"),
    ("ALERT_WEBHOOK", "https://hooks.example.org/a", "https://hooks.example.org/a"),
    ("ALERT_MAX_DELAY", "PT30M", timedelta(minutes=30)),
    ("ALERT_FAILURE_PERCENT", "5", 5),
    ("PING_URL", "https://ping.example.org/a", "https://ping.example.org/a"),
    ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8, ::1", ("127.0.0.1", "10.0.0.0/8", "::1")),
    ("METRICS_ALLOW", "10.0.0.7, 2001:db8::/64", ("10.0.0.7", "2001:db8::/64")),
]
WRONG = [
    ("DATABASE_URL", ""),
    ("DATABASE_URL", "mysql://localhost/mailbox"),
    ("DATABASE_URL", "postgres://u@db/mailbox?sslmode=require"),
    ("DATABASE_URL", "var/mailbox.db"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite://:memory:"),
    ("DATABASE_URL", "postgres://u:se/cret@localhost/mailbox"),
    ("SMTP_URL", "mail.example.org"),
    ("SMTP_URL", "http://mail.example.org"),
    ("SMTP_URL", "smtp://"),
    ("SMTP_URL", "smtp://mail.example.org:mail"),
    ("SMTP_URL", "smtp://mail.example.org:99999"),
    ("SMTP_URL", "smtp://mail.example.org:0"),
    ("SMTP_URL", "smtp://user:secret@mail.example.org"),
    ("SMTP_URL", "smtps://user:se/cret@mail.example.org"),
    ("SMTP_URL", "smtps://mail.example.org/folder"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("BASE_URL", "letters.example.org"),
    ("BASE_URL", "ftp://letters.example.org"),
    ("BASE_URL", "https://letters.example.org?a=b"),
    ("BASE_URL", "https://letters.example.org#a"),
    ("BASE_URL", "https://letters.example.org:port"),
    ("SENDER", ""),
    ("SENDER", "Slow Mailbox"),
    ("SENDER", "letters@"),
    ("SENDER", "@example.org"),
    ("SENDER", "a@example.org, b@example.org"),
    ("SENDER", "Slow <letters@example.org>\r\nBcc: all@example.org"),
    ("SENDER", "Slow <편지@example.org>"),
    ("SENDER", "Slow <letters@우체통.한국>"),
    ("REPLY_TO", "nobody"),
    ("REPLY_TO", "a@example.org, b@example.org"),
    ("REPLY_TO", "a@example.org\nBcc: all@example.org"),
    ("ABUSE_ADDRESS", "abuse at example.org"),
    ("FIRST_DELAY", "7"),
    ("FIRST_DELAY", "P1M"),
    ("FIRST_DELAY", "P0D"),
    ("FIRST_DELAY", ""),
    ("EDIT_WINDOW", "-PT1H"),
    ("MIN_DAYS", "0"),
    ("MAX_DAYS", "36501"),
    ("SECOND_DELAY", "P7D"),
    ("SECOND_DELAY", "PT168H"),
    ("SECOND_DELAY", "PT169H"),
    ("SECOND_DELAY", "P40000D"),
    ("SCAN_INTERVAL", "60"),
    ("SCAN_INTERVAL", "PT0S"),
    ("LEASE", "thirty seconds"),
    ("LEASE", "P99999999D"),
    ("MAX_LATENESS", "P1Y"),
    ("PAUSED", "perhaps"),
    ("PAUSED", ""),
    ("API_DOCS", "2"),
    ("SMTP_CONNECTIONS", "0"),
    ("SMTP_CONNECTIONS", "1001"),
    ("SMTP_MESSAGES_PER_CONNECTION", "0"),
    ("RATE", "0"),
    ("RATE", "fast"),
    ("RATE_PER_DOMAIN", "-1"),
    ("ON_UNCERTAIN", "forget"),
    ("TIMEZONE", "Seoul"),
    ("TIMEZONE", "../../etc/passwd"),
    ("SECRET_KEY", "secret"),
    ("SECRET_KEY", f"{KEY},secret"),
    ("ADMIN_USERNAME", ""),
    ("ADMIN_USERNAME", "a" * 65),
    ("CONFIRMATION", "perhaps"),
    ("ADMIN_SECOND_FACTOR", "off"),
    ("REQUEST_TIMEOUT", "PT0S"),
    ("LANGUAGE", "de"),
    ("ALERT_EMAIL", "a@example.org, b@example.org"),
    ("ALERT_WEBHOOK", "hooks.example.org"),
    ("ALERT_WEBHOOK", "file:///etc/passwd"),
    ("ALERT_MAX_DELAY", "1h"),
    ("ALERT_FAILURE_PERCENT", "0"),
    ("ALERT_FAILURE_PERCENT", "101"),
    ("PING_URL", "ping.example.org"),
    ("TRUSTED_PROXIES", "*"),
    ("METRICS_ALLOW", "prometheus.example.org"),
    ("TRUSTED_PROXIES", "10.0.0.0/99"),
    ("TRUSTED_PROXIES", "proxy.example.org"),
]


def _load(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(f"MAILBOX_{name}", value)
    return load_settings()


def test_nothing_needs_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch)
    assert settings.database_url == "sqlite://var/mailbox.db"
    assert settings.outbox_dir == Path("var/outbox")
    assert (settings.host, settings.port, settings.origin) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert (settings.first_delay, settings.second_delay) == (Delay(days=7), Delay(days=30))
    assert (settings.scan_interval, settings.lease) == (MINUTE, MINUTE / 2)
    assert (settings.smtp, settings.paused, settings.on_uncertain) == (None, False, "resend")
    assert settings.zone == ZoneInfo("UTC")


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_good_value_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object) -> None:
    assert getattr(_load(monkeypatch, **{name: text}), name.lower()) == value


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    with pytest.raises(SettingsError) as wrong:
        _load(monkeypatch, **{name: text})
    line = str(wrong.value)
    assert re.fullmatch(rf"MAILBOX_{name}: \S.*", line), line
    assert "secret" not in line, "no part of a password stands in an error"


def test_every_setting_is_tried_above() -> None:
    tried = {name for name, _, _ in GOOD} | {name for name, _ in WRONG}
    assert {name.lower() for name in tried} == set(Settings.model_fields)


def test_the_environment_comes_before_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAILBOX_PORT=8001\nMAILBOX_OPERATOR_NAME=우체국\nSOMETHING_ELSE=1\n")
    settings = _load(monkeypatch, PORT="8002")
    assert (settings.port, settings.operator_name) == (8002, "우체국")


@pytest.mark.parametrize("name", ["MAILBOX_SMTPURL", "mailbox_frist_delay", "MAILBOX_NOTHING_LIKE_IT"])
def test_an_unknown_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError, match=f"^{name.upper()}: there is no such setting") as refused:
        load_settings()
    assert ("is it MAILBOX_" in str(refused.value)) == ("NOTHING" not in name)


def test_an_unknown_setting_in_the_env_file_is_refused_and_what_is_not_ours_is_not(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LANG=ko_KR.UTF-8\n")
    load_settings()
    (tmp_path / ".env").write_text("MAILBOX_SENDR=me@example.org\n")
    with pytest.raises(SettingsError, match="is it MAILBOX_SENDER"):
        load_settings()


def test_an_env_file_that_cannot_be_read_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"MAILBOX_OPERATOR_NAME=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"^\.env: .+") as wrong:
        _load(monkeypatch)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://127.0.0.1:2525", SmtpServer("127.0.0.1", 2525, "none", "", "")),
        ("smtp://mail.example.org", SmtpServer("mail.example.org", 25, "none", "", "")),
        ("smtp+starttls://u:p@mail.example.org", SmtpServer("mail.example.org", 587, "starttls", "u", "p")),
        ("smtps://u:p@mail.example.org", SmtpServer("mail.example.org", 465, "tls", "u", "p")),
        ("smtps://a%40b.org:p%2F%3A%40@[::1]:10465", SmtpServer("::1", 10465, "tls", "a@b.org", "p/:@")),
    ],
)
def test_a_mail_server_is_read_from_its_url(monkeypatch: pytest.MonkeyPatch, url: str, server: SmtpServer) -> None:
    assert _load(monkeypatch, SMTP_URL=url).smtp == server


def test_the_origin_is_the_base_url_or_where_we_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _load(monkeypatch, HOST="::1", PORT="8080").origin == "http://[::1]:8080"
    assert _load(monkeypatch, BASE_URL="https://letters.example.org/").origin == "https://letters.example.org"


def test_a_newcomer_s_key_is_made_once_and_for_nobody_else_to_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = _load(monkeypatch)
    (key,) = settings.keys()
    path = tmp_path / "var" / "secret.key"
    assert len(key) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_settings().keys() == (key,), "and stays"
    assert list(path.parent.iterdir()) == [path], "no draft is left"


def test_with_a_mail_server_a_missing_key_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = _load(monkeypatch, SMTP_URL="smtp://mail.example.org")
    with pytest.raises(SettingsError, match=r"^MAILBOX_SECRET_KEY: .*openssl rand -base64 32$"):
        settings.keys()
    assert not (tmp_path / "var").exists()


def test_with_a_mail_server_a_newcomer_is_told_of_the_key_that_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key would not open the letters that wait."""
    _load(monkeypatch).keys()
    settings = _load(monkeypatch, SMTP_URL="smtp://mail.example.org")
    with pytest.raises(SettingsError, match=r"^MAILBOX_SECRET_KEY: .*var/secret\.key.*MAILBOX_SECRET_KEY_FILE"):
        settings.keys()


def test_a_key_file_holds_a_key_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{'n' * 44}\n{KEY}\n")
    assert _load(monkeypatch, SECRET_KEY_FILE=str(path), SMTP_URL="smtp://a").keys() == ("n" * 44, KEY)
    assert _load(monkeypatch, SECRET_KEY=KEY).keys() == (KEY,), "the key itself comes first"


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"short", b"\xff" * 40, KEY.encode() + b"\nshort"])
def test_a_key_file_that_holds_no_keys_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^MAILBOX_SECRET_KEY_FILE: ") as wrong:
        _load(monkeypatch, SECRET_KEY_FILE=str(path)).keys()
    assert "\n" not in str(wrong.value)
