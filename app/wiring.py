"""Builds the concrete parts from the settings; no other module names a concrete transport."""

import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr

from app.clock import Clock
from app.crypto import Cipher
from app.delivery.alert_monitor import AlertMonitor, AlertTexts
from app.delivery.breaker import Breaker
from app.delivery.completer import Completer
from app.delivery.courier import Courier
from app.delivery.daily import REPORT_HOUR, Cleanup, Daily, DailyReport
from app.delivery.dispatcher import DeliverySlots, Dispatcher
from app.delivery.heartbeat import Heartbeat
from app.delivery.journal import Journal
from app.delivery.leadership import Leadership
from app.delivery.notify import MailChannel, OperatorMails, WebhookChannel
from app.delivery.outcome import OutcomePolicy
from app.delivery.packing import BatchPacker, Packer
from app.delivery.rate_limit import RateLimiter
from app.delivery.ready_queue import ReadyQueue
from app.delivery.recovery import Recovery
from app.delivery.scheduler import ScanRecorder, Scheduler
from app.delivery.worker import Worker
from app.domain.address import domain_of
from app.domain.alerts import Thresholds
from app.domain.letter import Draft
from app.domain.schedule import Promise
from app.errors import DatabaseError
from app.mail.compose import Composer
from app.mail.envelope import Transport
from app.mail.outbox import Outbox
from app.mail.smtp.transport import SmtpTransport
from app.settings import Settings
from app.store.address_change import Corrections
from app.store.cipher import LetterCipher, open_cipher
from app.store.confirmation import Confirmations
from app.store.database import connected, missing_migrations
from app.store.editing import LetterEditor
from app.store.execution import within
from app.store.key_rotation import check_keys
from app.store.letters import Letters, Posted
from app.store.quotas import Quotas
from app.store.readiness import ReadinessCheck

LONGEST_POST = 5.0  # seconds
_SLOTS_PER_CONNECTION = 3
"""One that is answered, one that is offered behind it, and one on its way to or from the ledger."""


@dataclass(frozen=True, slots=True)
class Services:
    """`outbox` is None where a mail server is set."""

    settings: Settings
    clock: Clock
    cipher: LetterCipher
    letters: Letters
    readiness: ReadinessCheck
    editor: LetterEditor
    corrections: Corrections
    transport: Transport
    outbox: Outbox | None

    @property
    def message_domain(self) -> str:
        """The domain of our Message-IDs."""
        return _message_domain(self.settings)

    async def post(self, draft: Draft, now: datetime, promise: Promise | None, clients: Sequence[str] = ()) -> Posted:
        """Store a letter. Raises NotReady, TimeoutError and LimitExceeded."""

        async def check_and_store() -> Posted:
            await self.readiness.check()
            return await self.letters.post(draft, now, promise, clients)

        return await within(LONGEST_POST, check_and_store())


@contextlib.asynccontextmanager
async def open_services(settings: Settings, clock: Clock) -> AsyncIterator[Services]:
    """Connect to the database and build the parts.

    Raises DatabaseError where the database is unavailable or lacks a migration, SettingsError where a
    key is missing, KeyMissing where the data was encrypted with another one.
    """
    base_cipher = Cipher(settings.keys())
    async with connected(settings.database_url):
        if missing := await missing_migrations():
            raise DatabaseError(f"the database lacks {', '.join(missing)}; run: slow-mailbox migrate")
        cipher = await open_cipher(base_cipher)
        await check_keys(base_cipher)
        outbox = None if settings.smtp else Outbox(settings.outbox_dir, clock)
        transport = outbox or _smtp(settings, clock)
        try:
            yield Services(
                settings,
                clock,
                cipher,
                _letters(settings, cipher),
                ReadinessCheck(cipher, clock),
                LetterEditor(cipher, _message_domain(settings), quotas_of(settings)),
                Corrections(cipher, quotas_of(settings), _confirmations(settings, cipher), settings.confirms),
                transport,
                outbox,
            )
        finally:
            await transport.close()


def _letters(settings: Settings, cipher: LetterCipher) -> Letters:
    return Letters(
        cipher,
        first_delay=settings.first_delay,
        second_delay=settings.second_delay,
        message_domain=_message_domain(settings),
        edit_window=settings.edit_window,
        quotas=quotas_of(settings),
        confirmations=_confirmations(settings, cipher) if settings.confirms else None,
    )


def _confirmations(settings: Settings, cipher: LetterCipher) -> Confirmations:
    return Confirmations(cipher, _message_domain(settings), quotas_of(settings))


def quotas_of(settings: Settings) -> Quotas | None:
    """None where limits are off."""
    if not settings.rate_limits:
        return None
    return Quotas(
        per_address=settings.quota_per_address,
        per_domain=settings.quota_per_domain,
        per_day=settings.quota_per_day,
        notices=settings.notices_per_address,
    )


def build_transport(settings: Settings, clock: Clock) -> Transport:
    """The caller closes it."""
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


def build_worker(services: Services, *, leads: bool) -> Worker:
    """With `leads` it may run the scheduler."""
    settings, clock = services.settings, services.clock
    slots = DeliverySlots(_SLOTS_PER_CONNECTION * settings.smtp_connections)
    breaker = Breaker(clock, random.random)
    max_per_domain = max(1, slots.size * 4 // 5)
    rate_limiter = RateLimiter(
        clock, settings.smtp_connections, settings.rate, settings.rate_per_domain, max_per_domain
    )
    packer = _packer(services)
    policy = OutcomePolicy(packer, breaker, rate_limiter, random.random)
    journal = Journal(settings.journal_dir)
    heartbeat = _heartbeat(services, journal, policy)
    completer = Completer(heartbeat, journal, clock, quotas_of(settings))
    queue = ReadyQueue(rate_limiter, clock, slots.size)
    courier = Courier(
        packer=BatchPacker(packer, queue.upcoming),
        transport=services.transport,
        policy=policy,
        completer=completer,
        breaker=breaker,
        rate_limiter=rate_limiter,
        clock=clock,
        max_lateness=settings.max_lateness,
    )
    dispatcher = Dispatcher(
        courier=courier,
        completer=completer,
        slots=slots,
        queue=queue,
        breaker=breaker,
        heartbeat=heartbeat,
        clock=clock,
        on_uncertain=settings.on_uncertain,
    )
    if settings.paused:
        dispatcher.stop()
    leadership = _leadership(services, heartbeat, dispatcher) if leads else None
    interval = settings.scan_interval
    return Worker(heartbeat, leadership, dispatcher, slots, completer, settings.lease, scan_interval=interval)


def _heartbeat(services: Services, journal: Journal, policy: OutcomePolicy) -> Heartbeat:
    settings, clock = services.settings, services.clock
    recovery = Recovery(settings.journal_dir, policy, clock, quotas_of(settings))
    return Heartbeat(_worker_name(), settings.lease, clock, journal, recovery, services.cipher.key_ids)


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _leadership(services: Services, heartbeat: Heartbeat, dispatcher: Dispatcher) -> Leadership:
    settings, clock = services.settings, services.clock
    dailies = [Daily("cleaning", 0, Cleanup(settings.retention), settings.zone, clock)]
    if settings.alert_email:
        channel = build_mail_channel(settings, services.transport, settings.alert_email)
        report = DailyReport(channel, settings.zone, settings.language)
        dailies.append(Daily("report", REPORT_HOUR, report, settings.zone, clock))
    scan_recorder = ScanRecorder(dispatcher.start, settings.scan_interval, clock, heartbeat.name)
    scheduler = Scheduler(scan_recorder, settings.scan_interval, clock, heartbeat.name, dailies, settings.zone)
    return Leadership(heartbeat, scheduler, settings.lease, clock)


def build_alert_monitor(services: Services, worker: Worker) -> AlertMonitor:
    settings = services.settings
    to = settings.alert_email
    by_mail = [build_mail_channel(settings, services.transport, to)] if to else []
    by_webhook = [WebhookChannel(settings.alert_webhook)] if settings.alert_webhook else []
    return AlertMonitor(
        channels=[*by_mail, *by_webhook],
        thresholds=Thresholds(settings.alert_max_delay, settings.alert_failure_percent),
        ping_url=settings.ping_url,
        worker=worker.heartbeat,
        paused=settings.paused,
        clock=services.clock,
        texts=AlertTexts(settings.language, settings.timezone, settings.origin),
    )


def build_mail_channel(settings: Settings, transport: Transport, to: str) -> MailChannel:
    mails = OperatorMails(settings.sender, settings.origin, settings.operator_name, to, settings.language)
    return MailChannel(mails, transport)


def _packer(services: Services) -> Packer:
    settings = services.settings
    return Packer(services.cipher, build_composer(settings), settings.origin, _message_domain(settings))


def build_composer(settings: Settings) -> Composer:
    return Composer(settings.sender, settings.reply_to, settings.origin, settings.operator_name, settings.abuse_address)
