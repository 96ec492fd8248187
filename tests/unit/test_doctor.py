"""The doctor's findings, each from a patient that really has it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import dns.asyncresolver
import pytest

from app.clock import Clock, SystemClock
from app.crypto import Cipher
from app.doctor import examine
from app.doctor.findings import Finding, Level
from app.doctor.mail_server import send_test
from app.settings import Settings
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.models import Worker
from tests.certificates import Authority
from tests.clock import FrozenClock
from tests.name_server import Records, loopback_resolver, name_server
from tests.postgres import free_port
from tests.smtp_server import MailServer
from tests.webhook import receiver

pytestmark = pytest.mark.anyio

KEY, OTHER_KEY = "k" * 32, "o" * 32
HEALTHY: Records = {
    ("slow.test", "MX"): ["10 mail.slow.test."],
    ("slow.test", "TXT"): ['"some other word"', '"v=spf1 a:mail.slow.test" " -all"'],
    ("_dmarc.slow.test", "TXT"): ['"v=DMARC1; p=reject"'],
    ("post._domainkey.slow.test", "TXT"): ['"v=DKIM1; k=rsa; p=MIIB"'],
    ("old._domainkey.slow.test", "TXT"): ['"v=DKIM1; p="'],
    ("mail.slow.test", "A"): ["192.0.2.7"],
    ("7.2.0.192.in-addr.arpa", "PTR"): ["mail.slow.test."],
    ("lost.slow.test", "A"): ["192.0.2.8"],
    ("8.2.0.192.in-addr.arpa", "PTR"): ["somewhere.example."],
}


@pytest.fixture(autouse=True)
def _no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask nobody outside this machine: on this port nobody answers."""
    monkeypatch.setattr(dns.asyncresolver, "default_resolver", loopback_resolver(free_port(), timeout=0.1))


async def found(clock: Clock | None = None, **settings: Any) -> dict[str, Finding]:
    """Examine, and return the findings by subject."""
    chosen = {"secret_key": KEY, "sender": "Slow <letters@slow.test>"} | settings
    findings = await examine(Settings(**chosen), clock or SystemClock(), "post")
    assert len({finding.subject for finding in findings}) == len(findings)
    return {finding.subject: finding for finding in findings}


def problems(findings: dict[str, Finding]) -> set[str]:
    return {subject for subject, finding in findings.items() if finding.level is Level.PROBLEM}


# A newcomer, and somebody who runs it for real


async def test_a_newcomer_is_told_that_letters_go_no_further(sqlite_url: str) -> None:
    findings = await found(database_url=sqlite_url, secret_key=(), sender="a@localhost.localdomain")
    assert problems(findings) == set()
    assert findings["outbox"].level is Level.WARNING
    assert "MAILBOX_SMTP_URL" in findings["outbox"].text


async def test_nothing_to_mend(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    async with (
        MailServer(security="starttls", tls_context=authority.server_context(), login=("slow", "mail")) as server,
        name_server(HEALTHY) as resolver,
    ):
        monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
        findings = await found(
            database_url=database_url,
            smtp_url=f"smtp+starttls://slow:mail@127.0.0.1:{server.port}",
            base_url="https://slow.test",
            operator_name="The harbour office",
            abuse_address="abuse@slow.test",
        )
    assert [finding for finding in findings.values() if finding.level is not Level.OK] == []
    assert "with PIPELINING" in findings["mail server"].text
    assert findings["DNS: SPF"].text == "v=spf1 a:mail.slow.test -all"
    assert server.accepted == []


# Choices


async def test_what_was_not_set() -> None:
    findings = await found(
        smtp_url=f"smtp://127.0.0.1:{free_port()}", secret_key=(), sender="a@localhost.localdomain", paused=True
    )
    assert {"secret key", "sender"} <= problems(findings)
    for subject, name in {
        "base URL": "MAILBOX_BASE_URL",
        "operator": "MAILBOX_ABUSE_ADDRESS",
        "sending": "MAILBOX_PAUSED",
        "secret key": "MAILBOX_SECRET_KEY",
        "sender": "MAILBOX_SENDER",
    }.items():
        assert findings[subject].level is not Level.OK
        assert name in findings[subject].text


async def test_an_outbox_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("no folder")
    assert "outbox" in problems(await found(outbox_dir=tmp_path / "var" / "outbox"))


# The database


async def test_a_missing_database_is_not_made(tmp_path: Path) -> None:
    findings = await found(database_url=f"sqlite://{tmp_path}/var/mailbox.db")
    assert problems(findings) == {"database"}
    assert "slow-mailbox migrate" in findings["database"].text
    assert not (tmp_path / "var").exists()


async def test_missing_migrations(empty_postgres_url: str, empty_sqlite_url: str) -> None:
    async with connected(empty_sqlite_url):  # makes the file
        pass
    for url in (empty_postgres_url, empty_sqlite_url):
        findings = await found(database_url=url)
        assert problems(findings) == {"database"}
        assert "slow-mailbox migrate" in findings["database"].text


async def test_a_database_that_is_away() -> None:
    findings = await found(database_url=f"postgres://postgres@127.0.0.1:{free_port()}/mailbox")
    assert problems(findings) == {"database"}
    assert "cannot be reached" in findings["database"].text


async def test_a_database_that_cannot_be_written_to(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    name = postgres_url.rpartition("/")[2]
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await connection.close()
    findings = await found(database_url=postgres_url)
    assert problems(findings) == {"database"}
    assert "cannot be written to" in findings["database"].text


async def test_another_key_than_the_database_was_sealed_with(database_url: str) -> None:
    async with connected(database_url):
        await open_cipher(Cipher([KEY]))
    assert problems(await found(database_url=database_url)) == set()
    assert problems(await found(database_url=database_url, secret_key=OTHER_KEY)) == {"seal"}


# The clock


async def test_a_clock_behind_what_was_recorded(sqlite_url: str, clock: FrozenClock) -> None:
    async with connected(sqlite_url):
        await Worker.create(id=uuid4(), name="one", started_at=clock.now(), seen_at=clock.now())
    assert problems(await found(clock, database_url=sqlite_url)) == set()
    clock.jump(timedelta(hours=-1))
    findings = await found(clock, database_url=sqlite_url)
    assert problems(findings) == {"clock"}
    assert "3600 s" in findings["clock"].text


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_the_database_server_does_not_share(postgres_url: str, hours: int) -> None:
    off = FrozenClock(datetime.now(UTC) + timedelta(hours=hours))
    assert problems(await found(off, database_url=postgres_url)) == {"clock"}


# The mail server


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("smtp+starttls://slow:wrong@127.0.0.1", "refused the login"),
        ("smtps://slow:mail@127.0.0.1", "cannot be used"),
        ("smtp://127.0.0.1", "lets us in"),
    ],
)
async def test_the_mail_server_is_tried(url: str, word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    async with MailServer(
        security="starttls", tls_context=authority.server_context(), login=("slow", "mail")
    ) as server:
        finding = (await found(smtp_url=f"{url}:{server.port}"))["mail server"]
    assert word in finding.text
    assert (finding.level is Level.OK) == (word == "lets us in")


async def test_a_certificate_nobody_vouches_for(tmp_path: Path) -> None:
    context = Authority(tmp_path).server_context()
    async with MailServer(security="tls", tls_context=context) as server:
        finding = (await found(smtp_url=f"smtps://127.0.0.1:{server.port}"))["mail server"]
    assert finding.level is Level.PROBLEM
    assert "certificate" in finding.text


async def test_letters_in_clear() -> None:
    async with MailServer() as server:
        beside = (await found(smtp_url=f"smtp://127.0.0.1:{server.port}"))["mail server"]
        elsewhere = (await found(smtp_url=f"smtp://127.1:{server.port}"))["mail server"]  # no spelling of loopback
    assert beside.level is Level.OK
    assert elsewhere.level is Level.WARNING
    assert "in clear" in elsewhere.text


async def test_a_mail_server_that_is_away() -> None:
    finding = (await found(smtp_url=f"smtp://127.0.0.1:{free_port()}"))["mail server"]
    assert finding.level is Level.PROBLEM
    assert "whether it runs" in finding.text


# Ways to the operator


async def test_a_test_letter_and_a_word_to_the_webhook() -> None:
    async with MailServer() as server, receiver() as hook:
        settings = Settings(
            secret_key=(KEY,), smtp_url=f"smtp://127.0.0.1:{server.port}", alert_webhook=f"{hook.url}/hook"
        )
        taken = await send_test(settings, SystemClock(), "me@slow.test")
        hook.status = 404
        refused = await send_test(settings, SystemClock(), "rcpt-550@slow.test")
    assert [finding.level for finding in taken] == [Level.OK] * 2
    assert [finding.level for finding in refused] == [Level.PROBLEM] * 2
    assert "550" in refused[0].text
    assert [accepted.recipients for accepted in server.accepted] == [("me@slow.test",)]
    assert hook.received[0][2]["text"].startswith("Slow Mailbox: a test")


async def test_a_certificate_that_runs_out_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    in_80_days = FrozenClock(datetime.now(UTC) + timedelta(days=80))
    async with MailServer(security="tls", tls_context=authority.server_context()) as server:
        finding = (await found(in_80_days, smtp_url=f"smtps://127.0.0.1:{server.port}"))["mail server"]
    assert finding.level is Level.WARNING
    assert "runs out in 9 days" in finding.text
