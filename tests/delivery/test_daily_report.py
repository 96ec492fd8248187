"""What the operator gets by mail, over a real mail server: the morning's report, and alerts."""

import email
from collections.abc import AsyncIterator
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest

from app.crypto import Cipher
from app.delivery.alert_monitor import AlertTexts
from app.delivery.daily import DailyReport
from app.delivery.notify import MailChannel, NotifyError, OperatorMails
from app.domain.status import AttemptResult, Status
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.models import Attempt
from app.store.operator_models import RaisedAlert
from tests.clock import FrozenClock
from tests.ledger import Ledger
from tests.sending import transport_to
from tests.smtp_server import MailServer
from tests.unit.test_alerts import WELL

pytestmark = pytest.mark.anyio

SEOUL = ZoneInfo("Asia/Seoul")
DAY = timedelta(days=1)
ORIGIN = "https://letters.test"


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    async with connected(database_url):
        yield Ledger(await open_cipher(Cipher(["k" * 32])))


@pytest.fixture
async def channel(server: MailServer, clock: FrozenClock) -> AsyncIterator[MailChannel]:
    async with transport_to(server.port, clock=clock) as transport:
        yield MailChannel(_mails("ko"), transport)


def _mails(language: str, to: str = "Jun <jun@example.org>") -> OperatorMails:
    return OperatorMails("느린 우체통 <letters@letters.test>", ORIGIN, "Harbour", to, language)


def _arrived(server: MailServer) -> EmailMessage:
    (accepted,) = server.accepted
    return email.message_from_bytes(accepted.message, policy=policy.default)


async def test_the_report_says_what_went_out_yesterday_and_what_is_coming(
    ledger: Ledger, channel: MailChannel, server: MailServer, clock: FrozenClock
) -> None:
    now = clock.now()
    for at in (now - DAY, now - DAY, now - 3 * DAY):
        sent = await ledger.add(Status.SENT, at)
        await ledger.attempt(sent, AttemptResult.ACCEPTED, 250, "ok")
    failed = await ledger.add(Status.FAILED, now - DAY)
    await ledger.attempt(failed, AttemptResult.PERMANENT, 550, "no")
    assert await Attempt.all().count() == 4
    for at in (now - timedelta(hours=2), now + DAY, now + 6 * DAY, now + 8 * DAY):
        await ledger.add(Status.SCHEDULED, at)
    await ledger.add(Status.HELD, now)
    assert [number async for number in DailyReport(channel, SEOUL, "ko")(now)] == [1]
    mail = _arrived(server)
    assert mail["Subject"] == "2025년 12월 31일 수요일: 2통 발송, 1통 실패"
    assert mail["To"] == "jun@example.org"
    text = mail.get_body(("plain",)).get_content().splitlines()  # type: ignore[union-attr]
    for line in ("보냄: 2", "최종 실패: 1", "지금 보낼 것: 1", "앞으로 7일 안에 보낼 것: 2", "보류: 1", "불확실: 0"):
        assert f"  {line}" in text
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "일일 보고" in html
    assert "<style>" not in html


@pytest.mark.usefixtures("ledger")
async def test_a_new_post_office_has_nothing_to_report(
    channel: MailChannel, server: MailServer, clock: FrozenClock
) -> None:
    assert [number async for number in DailyReport(channel, SEOUL, "ko")(clock.now())] == []
    assert server.accepted == []


async def test_a_refused_mail_raises_notify_error(server: MailServer, clock: FrozenClock) -> None:
    alert = RaisedAlert(name="late", since=clock.now(), fired_at=clock.now())
    news = AlertTexts("ko", "Asia/Seoul", ORIGIN).notification(alert, WELL)
    async with transport_to(server.port, clock=clock) as transport:
        await MailChannel(_mails("ko"), transport).notify(news, clock.now())
        with pytest.raises(NotifyError, match="550"):
            await MailChannel(_mails("ko", "rcpt-550@example.org"), transport).notify(news, clock.now())
    mail = _arrived(server)
    assert mail["Subject"] == "편지 발송이 늦어지고 있습니다"
    assert "slow-mailbox" not in mail["Message-ID"]
    assert mail["Message-ID"].endswith("@letters.test>")
    assert f"{ORIGIN}/admin" in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
