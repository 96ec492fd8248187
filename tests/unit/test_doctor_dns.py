"""What the doctor finds in DNS, from a name server on loopback."""

import dns.asyncresolver
import pytest

from app.doctor.dns import check_names
from app.doctor.findings import Level
from tests.name_server import Records, name_server
from tests.postgres import free_port
from tests.unit.test_doctor import HEALTHY, _no_name_server, found

__all__ = ["_no_name_server"]

pytestmark = pytest.mark.anyio


async def names(records: Records, monkeypatch: pytest.MonkeyPatch, domain: str = "slow.test") -> dict[str, Level]:
    async with name_server(records) as resolver:
        monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
        findings = await found(smtp_url=f"smtp://127.0.0.1:{free_port()}", sender=f"a@{domain}")
    return {subject: finding.level for subject, finding in findings.items() if subject.startswith("DNS")}


async def test_no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await names({}, monkeypatch) == {
        **dict.fromkeys(("DNS: MX", "DNS: SPF", "DNS: DMARC"), Level.WARNING),
        "DNS: DKIM": Level.PROBLEM,
    }


async def test_two_spf_records_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = {**HEALTHY, ("slow.test", "TXT"): ['"v=spf1 mx -all"', '"v=spf1 a -all"']}
    assert (await names(twice, monkeypatch))["DNS: SPF"] is Level.PROBLEM


async def test_dmarc_of_the_domain_above(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await names(HEALTHY, monkeypatch, "post.slow.test"))["DNS: DMARC"] is Level.OK


async def test_no_name_server_answers() -> None:
    findings = await found(smtp_url=f"smtp://127.0.0.1:{free_port()}")
    assert findings["DNS"].level is Level.WARNING
    assert "no name server answered" in findings["DNS"].text


async def test_the_key_that_mail_is_signed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    async with name_server(HEALTHY) as resolver:
        monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
        levels = [
            finding.level
            for selector in ("post", "old", "none", "")
            async for finding in check_names("slow.test", selector, "")
            if finding.subject == "DNS: DKIM"
        ]
    assert levels == [Level.OK, Level.PROBLEM, Level.PROBLEM, Level.WARNING]


async def test_a_mail_server_whose_name_and_address_know_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    async with name_server(HEALTHY) as resolver:
        monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
        levels = [
            finding.level
            for host in ("mail.slow.test", "lost.slow.test", "nowhere.slow.test")
            async for finding in check_names("slow.test", "post", host)
            if finding.subject == "DNS: PTR"
        ]
    assert levels == [Level.OK, Level.WARNING, Level.PROBLEM]
