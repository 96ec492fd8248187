"""Checks for the operator: settings, database, mail server, DNS; each finding says what to change."""

from email.utils import parseaddr

from app.clock import Clock
from app.doctor.configuration import check_key, check_pages, check_sending
from app.doctor.database import check_database
from app.doctor.dns import check_names
from app.doctor.findings import Finding
from app.doctor.mail_server import away, check_mail_server, check_outbox
from app.domain.address import domain_of
from app.settings import Settings


async def examine(settings: Settings, clock: Clock, dkim_selector: str = "") -> list[Finding]:
    """Changes nothing and sends nothing."""
    domain = domain_of(parseaddr(settings.sender)[1])
    found = [check_pages(settings), check_key(settings), *check_sending(settings, domain)]
    found += [finding async for finding in check_database(settings, clock.now())]
    if settings.smtp:
        found.append(await check_mail_server(settings.smtp, clock))
        found += [finding async for finding in check_names(domain, dkim_selector, away(settings.smtp))]
    else:
        found.append(check_outbox(settings.outbox_dir))
    return found
