"""What is said of a database URL that is mistyped, without its password."""

import pytest

from app.errors import SettingsError
from app.settings import load_settings


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:/var/mailbox.db", "two slashes"),
        ("sqlite:var/mailbox.db", "two slashes"),
        ("sqllite://var/mailbox.db", "no database sqllite://; is it sqlite://"),
        ("postgrsql://u:s3cret@db/mailbox", "is it postgresql://"),
        ("sqlite://var/mail#box.db", "#"),
        ("postgres:u:s3cret@db/mailbox", "two slashes"),
        ("postgres://u:s3c#ret@db:5432/mailbox", "unescaped /, ? or # before its host"),
        ("postgres://u:s3c/ret@db:5432/mailbox", "unescaped /, ? or # before its host"),
        ("postgres://u:s3c?ret@db:5432/mailbox", "unescaped /, ? or # before its host"),
        ("postgres://u:s3cret@db:mail/mailbox", "port must be a number"),
        ("postgres://u:s3cret@db", "must name a database"),
    ],
)
def test_a_mistyped_database_url_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch, url: str, said: str) -> None:
    monkeypatch.setenv("MAILBOX_DATABASE_URL", url)
    with pytest.raises(SettingsError) as wrong:
        load_settings()
    assert said in str(wrong.value)
    assert "s3c" not in str(wrong.value)
