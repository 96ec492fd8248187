"""Builds the concrete parts from the settings; nothing else names a concrete transport."""

import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr

from app.clock import Clock
from app.delivery.ahead import Ahead
from app.delivery.answers import Answers
from app.delivery.breaker import Breaker
from app.delivery.cleaning import Cleaning
from app.delivery.courier import Courier
from app.delivery.daily import Daily
from app.delivery.flights import Flights
from app.delivery.leadership import Leadership
from app.delivery.line import Line
from app.delivery.membership import Membership
from app.delivery.pace import Pace
from app.delivery.packing import Packer
from app.delivery.records import Records
from app.delivery.relief import Relief
from app.delivery.report import HOUR, Report
from app.delivery.rounds import Rounds
from app.delivery.scan import Scan
from app.delivery.scheduler import Scheduler
from app.delivery.station import Station
from app.delivery.telling import ByMail, ByWebhook
from app.delivery.verdict import Judge
from app.delivery.watchman import Watchman, Words
from app.domain.address import domain_of
from app.domain.alarms import Limits
from app.domain.letter import Draft
from app.domain.schedule import Promise
from app.errors import DatabaseError
from app.mail.compose import Composer
from app.mail.envelope import Transport
from app.mail.operator import OperatorMails
from app.mail.outbox import Outbox
from app.mail.smtp import SmtpTransport
from app.sealing import Sealer
from app.settings import Settings
from app.store.changing import Changes
from app.store.confirming import Confirmations
from app.store.correcting import Corrections
from app.store.database import connected, missing_migrations
from app.store.keys_in_use import check_keys
from app.store.letters import Letters, Posted
from app.store.operations import within
from app.store.quotas import Quotas
from app.store.readiness import Readiness
from app.store.vault import Vault, open_vault

LONGEST_POST = 5.0  # seconds
_FLIGHTS_PER_CONNECTION = 3
"""One that is answered, one that is offered behind it, and one on its way to or from the ledger."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The program's parts. `outbox` is None where a mail server is set."""

    settings: Settings
    clock: Clock
    vault: Vault
    letters: Letters
    readiness: Readiness
    changes: Changes
    corrections: Corrections
    transport: Transport
    outbox: Outbox | None

    @property
    def message_domain(self) -> str:
        """The domain of our Message-IDs."""
        return _message_domain(self.settings)

    async def post(self, draft: Draft, now: datetime, promise: Promise | None, clients: Sequence[str] = ()) -> Posted:
        """Store a letter. Raises NotReady where none can be taken, TimeoutError where it takes too long, TooMany."""

        async def check_and_store() -> Posted:
            await self.readiness.check()
            return await self.letters.post(draft, now, promise, clients)

        return await within(LONGEST_POST, check_and_store())


@contextlib.asynccontextmanager
async def open_mailbox(settings: Settings, clock: Clock) -> AsyncIterator[Mailbox]:
    """Connect to the database and build the parts.

    Raises DatabaseError where the database is away or lacks a migration, SettingsError where a
    key is missing, KeyMissing where the database was sealed with another one.
    """
    sealer = Sealer(settings.keys())
    async with connected(settings.database_url):
        if missing := await missing_migrations():
            raise DatabaseError(f"the database lacks {', '.join(missing)}; run: slow-mailbox migrate")
        vault = await open_vault(sealer)
        await check_keys(sealer)
        outbox = None if settings.smtp else Outbox(settings.outbox_dir, clock)
        transport = outbox or _smtp(settings, clock)
        try:
            yield Mailbox(
                settings,
                clock,
                vault,
                _letters(settings, vault),
                Readiness(vault, clock),
                Changes(vault, _message_domain(settings), quotas_of(settings)),
                Corrections(vault, quotas_of(settings), _confirmations(settings, vault), settings.confirms),
                transport,
                outbox,
            )
        finally:
            await transport.close()


def _letters(settings: Settings, vault: Vault) -> Letters:
    return Letters(
        vault,
        first_delay=settings.first_delay,
        second_delay=settings.second_delay,
        message_domain=_message_domain(settings),
        sealing_period=settings.sealing_period,
        quotas=quotas_of(settings),
        confirmations=_confirmations(settings, vault) if settings.confirms else None,
    )


def _confirmations(settings: Settings, vault: Vault) -> Confirmations:
    return Confirmations(vault, _message_domain(settings), quotas_of(settings))


def quotas_of(settings: Settings) -> Quotas | None:
    """Return what is taken in a day; None where there is no limit."""
    if not settings.rate_limits:
        return None
    return Quotas(
        per_address=settings.quota_per_address,
        per_domain=settings.quota_per_domain,
        per_day=settings.quota_per_day,
        notices=settings.notices_per_address,
    )


def build_transport(settings: Settings, clock: Clock) -> Transport:
    """Build what carries envelopes: whoever asks closes it."""
    return _smtp(settings, clock) if settings.smtp else Outbox(settings.outbox_dir, clock)


def _smtp(settings: Settings, clock: Clock) -> SmtpTransport:
    if settings.smtp is None:
        raise ValueError("no mail server is set")
    return SmtpTransport(
        settings.smtp,
        connections=settings.smtp_connections,
        messages_per_connection=settings.smtp_messages_per_connection,
        clock=clock,
    )


def _message_domain(settings: Settings) -> str:
    return domain_of(parseaddr(settings.sender)[1])


def build_station(mailbox: Mailbox, *, leads: bool) -> Station:
    """Build what delivers in this process; where it `leads` it may run the scheduler."""
    settings, clock = mailbox.settings, mailbox.clock
    flights = Flights(_FLIGHTS_PER_CONNECTION * settings.smtp_connections)
    breaker = Breaker(clock, random.random)
    most = max(1, flights.seats * 4 // 5)
    pace = Pace(clock, settings.smtp_connections, settings.rate, settings.rate_per_domain, most)
    packer = _packer(mailbox)
    judge = Judge(packer, breaker, pace, random.random)
    answers = Answers(settings.answers_dir)
    membership = _membership(mailbox, answers, judge)
    records = Records(membership, answers, clock, quotas_of(settings))
    line = Line(pace, clock, flights.seats)
    courier = Courier(
        ahead=Ahead(packer, line.upcoming),
        transport=mailbox.transport,
        judge=judge,
        records=records,
        breaker=breaker,
        pace=pace,
        clock=clock,
        catch_up_limit=settings.catch_up_limit,
    )
    scan = Scan(
        courier=courier,
        records=records,
        flights=flights,
        line=line,
        breaker=breaker,
        membership=membership,
        clock=clock,
        on_uncertain=settings.on_uncertain,
    )
    if settings.paused:
        scan.stop()
    leadership = _leadership(mailbox, membership, scan) if leads else None
    interval = settings.scan_interval
    return Station(membership, leadership, scan, flights, records, settings.lease, scan_interval=interval)


def _membership(mailbox: Mailbox, answers: Answers, judge: Judge) -> Membership:
    settings, clock = mailbox.settings, mailbox.clock
    relief = Relief(settings.answers_dir, judge, clock, quotas_of(settings))
    return Membership(_worker_name(), settings.lease, clock, answers, relief, mailbox.vault.key_ids)


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _leadership(mailbox: Mailbox, membership: Membership, scan: Scan) -> Leadership:
    settings, clock = mailbox.settings, mailbox.clock
    dailies = [Daily("cleaning", 0, Cleaning(settings.keep), settings.zone, clock)]
    if settings.alert_email:
        channel = build_mail_channel(settings, mailbox.transport, settings.alert_email)
        report = Report(channel, settings.zone, settings.language)
        dailies.append(Daily("report", HOUR, report, settings.zone, clock))
    rounds = Rounds(scan.start, settings.scan_interval, clock, membership.name)
    scheduler = Scheduler(rounds, settings.scan_interval, clock, membership.name, dailies, settings.zone)
    return Leadership(membership, scheduler, settings.lease, clock)


def build_watchman(mailbox: Mailbox, station: Station) -> Watchman:
    """Build what tells the operator when something is wrong, with this process too."""
    settings = mailbox.settings
    to = settings.alert_email
    by_mail = [build_mail_channel(settings, mailbox.transport, to)] if to else []
    by_webhook = [ByWebhook(settings.alert_webhook)] if settings.alert_webhook else []
    return Watchman(
        channels=[*by_mail, *by_webhook],
        limits=Limits(settings.alert_oldest, settings.alert_failures),
        ping_url=settings.ping_url,
        worker=station.membership,
        paused=settings.paused,
        clock=mailbox.clock,
        words=Words(settings.language, settings.timezone, settings.origin),
    )


def build_mail_channel(settings: Settings, transport: Transport, to: str) -> ByMail:
    """Build the way to an operator by mail."""
    mails = OperatorMails(settings.sender, settings.origin, settings.operator_name, to, settings.language)
    return ByMail(mails, transport)


def _packer(mailbox: Mailbox) -> Packer:
    settings = mailbox.settings
    return Packer(mailbox.vault, build_composer(settings), settings.origin, _message_domain(settings))


def build_composer(settings: Settings) -> Composer:
    return Composer(settings.sender, settings.reply_to, settings.origin, settings.operator_name, settings.abuse_address)
