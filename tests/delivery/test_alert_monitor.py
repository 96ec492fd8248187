"""Every alert is sent once when it fires and once when it is over, to a real receiver, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest

from app.crypto import Cipher
from app.delivery.alert_monitor import AlertMonitor, AlertTexts
from app.delivery.notify import Channel, WebhookChannel
from app.domain.alerts import Thresholds
from app.domain.status import AttemptResult, Status
from app.store import alerts
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.job_runs import SCAN, record_job_start
from app.store.models import Attempt, Delivery, Worker
from app.store.operator_models import RaisedAlert
from app.store.workers import SCHEDULER, acquire_lease, heartbeat, register
from tests.clock import FrozenClock
from tests.ledger import Ledger
from tests.unit.test_alerts import WELL
from tests.webhook import Receiver, receiver

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
LEADER = uuid4()


@pytest.fixture
async def ledger(database_url: str, clock: FrozenClock) -> AsyncIterator[Ledger]:
    """A ledger with a living leader, and nothing to do."""
    async with connected(database_url):
        await register(LEADER, "one", clock.now())
        await acquire_lease(SCHEDULER, LEADER, clock.now())
        yield Ledger(await open_cipher(Cipher(["k" * 32])))


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


@dataclass
class Own:
    """What the process that looks knows of its own work."""

    name: str = "one"
    lease: timedelta = timedelta(seconds=30)
    silent_for: timedelta = timedelta()
    clock_deviation: timedelta = timedelta()


def alert_monitor(
    clock: FrozenClock, *channels: Channel, ping_url: str = "", name: str = "one", worker: Own | None = None
) -> AlertMonitor:
    return AlertMonitor(
        channels=channels,
        thresholds=Thresholds(timedelta(hours=1), 10),
        ping_url=ping_url,
        worker=worker or Own(name),
        paused=False,
        clock=clock,
        texts=AlertTexts("en", "UTC", "https://letters.test"),
    )


async def _letter_due(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger.add(Status.SCHEDULED, clock.now() - 6 * MINUTE)


async def _letter_late(ledger: Ledger, clock: FrozenClock) -> None:
    delivery = await ledger.add(Status.SCHEDULED, clock.now() - 60 * MINUTE)
    await ledger.attempt(delivery, AttemptResult.TRANSIENT, 450, "later")
    await Attempt.all().update(ended_at=clock.now())


async def _failures(ledger: Ledger, clock: FrozenClock) -> None:
    for number in range(20):
        await ledger.add(Status.SENT if number else Status.FAILED, clock.now())
        await ledger.add(Status.FAILED, clock.now())


async def _trouble(_: Ledger, clock: FrozenClock) -> None:
    await heartbeat(LEADER, clock.now(), "535 login refused")


async def _doubt(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger.add(Status.UNCERTAIN, clock.now())


async def _death(_: Ledger, clock: FrozenClock) -> None:
    await Worker.filter(id=LEADER).update(seen_at=clock.now() - 6 * MINUTE)


async def _well(clock: FrozenClock) -> None:
    await Delivery.all().update(
        status=Status.CANCELLED, status_at=clock.now(), sent_at=None, held_reason=None, due_at=clock.now()
    )
    await heartbeat(LEADER, clock.now())


@pytest.mark.parametrize(
    ("name", "cause", "says"),
    [
        ("stalled", _letter_due, "Letters are due, but none is sent"),
        ("late", _letter_late, "Letters are late"),
        ("failing", _failures, "Many letters are rejected\n21 of 40 deliveries failed in the last hour."),
        ("mail_server", _trouble, "The mail server is unavailable\n535 login refused"),
        ("uncertain", _doubt, "The mail server's answer was lost"),
        ("no_scheduler", _death, "No scheduler is running"),
    ],
)
async def test_an_alert_fires_once_and_is_over_once(
    ledger: Ledger,
    clock: FrozenClock,
    hook: Receiver,
    name: str,
    cause: Callable[[Ledger, FrozenClock], Awaitable[None]],
    says: str,
) -> None:
    monitor = [alert_monitor(clock, WebhookChannel(hook.url), name=name) for name in ("one", "another")]
    clock.advance(6 * MINUTE)
    await heartbeat(LEADER, clock.now())
    for each in monitor:
        await each.check()
    assert hook.received == []
    await cause(ledger, clock)
    for each in [*monitor, *monitor]:
        await each.check()
    ((method, _, payload),) = hook.received
    assert (method, payload["alert"], payload["state"]) == ("POST", name, "firing")
    assert payload["text"].startswith(says)
    assert payload["text"].endswith("https://letters.test/admin")
    await _well(clock)
    clock.advance(70 * MINUTE)  # alerts on counts of the last hour are over then, too
    await heartbeat(LEADER, clock.now())
    for each in [*monitor, *monitor]:
        await each.check()
    assert [payload["state"] for _, _, payload in hook.received] == ["firing", "over"]
    assert hook.received[1][2]["text"].startswith("Resolved: ")
    assert not await RaisedAlert.exists()


async def test_a_flapping_alert_fires_once(ledger: Ledger, clock: FrozenClock, hook: Receiver) -> None:
    monitor = alert_monitor(clock, WebhookChannel(hook.url))
    for _ in range(3):
        await _trouble(ledger, clock)
        await monitor.check()
        clock.advance(2 * MINUTE)
        await heartbeat(LEADER, clock.now())
        await monitor.check()
        clock.advance(2 * MINUTE)
        await heartbeat(LEADER, clock.now())
        await monitor.check()
    assert [payload["state"] for _, _, payload in hook.received] == ["firing"]
    clock.advance(5 * MINUTE)
    await heartbeat(LEADER, clock.now())
    await monitor.check()
    assert [payload["state"] for _, _, payload in hook.received] == ["firing", "over"]


async def test_an_unsent_alert_is_retried_less_and_less_often(
    ledger: Ledger, clock: FrozenClock, hook: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor, hook.status = alert_monitor(clock, WebhookChannel(hook.url)), 503
    tries = []
    for minute in range(16):
        await _trouble(ledger, clock)
        before = len(hook.received)
        await monitor.check()
        tries += [minute] * (len(hook.received) - before)
        clock.advance(MINUTE)
    assert tries == [0, 1, 3, 7, 15]
    assert hook.url not in "".join(capsys.readouterr())
    hook.status = 200
    clock.advance(60 * MINUTE)
    await _trouble(ledger, clock)
    await monitor.check()
    await monitor.check()
    assert len(hook.received) == 6


async def test_one_working_channel_is_enough(ledger: Ledger, clock: FrozenClock, hook: Receiver) -> None:
    monitor = alert_monitor(clock, WebhookChannel("http://127.0.0.1:9"), WebhookChannel(hook.url))
    await _trouble(ledger, clock)
    await monitor.check()
    clock.advance(MINUTE)
    await monitor.check()
    assert len(hook.received) == 1


async def test_an_alert_that_fires_again_before_its_end_was_sent_was_never_over(
    ledger: Ledger, clock: FrozenClock, hook: Receiver
) -> None:
    monitor = alert_monitor(clock, WebhookChannel(hook.url))
    await _trouble(ledger, clock)
    await monitor.check()
    hook.status = 503
    clock.advance(6 * MINUTE)
    await heartbeat(LEADER, clock.now())
    await monitor.check()
    await _trouble(ledger, clock)
    await monitor.check()
    hook.status = 200
    clock.advance(MINUTE)
    await _trouble(ledger, clock)
    await monitor.check()
    assert [payload["state"] for _, _, payload in hook.received] == ["firing", "over"]


@pytest.mark.usefixtures("ledger")
async def test_a_good_scan_of_ours_pings_once_a_minute(clock: FrozenClock, hook: Receiver) -> None:
    ours, theirs = (alert_monitor(clock, ping_url=f"{hook.url}/ping", name=name) for name in ("one", "another"))
    for _ in range(4):
        await record_job_start(SCAN, "one", clock.now(), clock.now())
        await ours.check()
        await theirs.check()
        clock.advance(MINUTE / 2)
    assert hook.received == [("GET", "/ping", None)] * 2
    for _ in range(3):
        clock.advance(MINUTE)
        await ours.check()
    assert len(hook.received) == 3  # for the last scan, and none since


async def test_it_looks_by_itself_and_stops(ledger: Ledger, clock: FrozenClock, hook: Receiver) -> None:
    await _trouble(ledger, clock)
    async with asyncio.timeout(60), alert_monitor(clock, WebhookChannel(hook.url)):
        while not hook.received:  # noqa: ASYNC110 - the receiver has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("host", "keys"),
    [("hooks.slack.com", {"text"}), ("discord.com", {"content"}), ("chat.test", {"text", "at", "alert"})],
)
async def test_each_webhook_gets_the_format_it_takes(host: str, keys: set[str], clock: FrozenClock) -> None:
    news = AlertTexts("en", "UTC", "https://letters.test")
    alert = RaisedAlert(name="late", since=clock.now(), fired_at=clock.now())
    form = WebhookChannel(f"https://{host}/services/x")._payload(news.notification(alert, WELL), clock.now())
    assert keys <= set(form)
    assert "alert" in form or len(form) == 1


@pytest.mark.parametrize("hours", [240, -20_000], ids=["ahead", "behind"])
@pytest.mark.usefixtures("ledger")
async def test_a_wrong_clock_fires(clock: FrozenClock, hook: Receiver, hours: int) -> None:
    own = Own(clock_deviation=timedelta(hours=hours))
    monitor = alert_monitor(clock, WebhookChannel(hook.url), worker=own)
    await monitor.check()
    await monitor.check()
    ((_, _, payload),) = hook.received
    assert (payload["alert"], payload["state"]) == ("clock", "firing")
    assert f"{abs(hours)} hours {'ahead' if hours > 0 else 'behind'}" in payload["text"]


@pytest.mark.usefixtures("ledger")
async def test_a_missing_heartbeat_fires_without_the_database(
    clock: FrozenClock, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(alerts, "take_snapshot", away)
    own = Own(silent_for=timedelta(seconds=29))
    monitor = alert_monitor(clock, WebhookChannel(hook.url), worker=own)
    await monitor.check()
    assert hook.received == []
    own.silent_for, hook.status = timedelta(seconds=30), 503
    await monitor.check()
    hook.status = 200
    await monitor.check()
    await monitor.check()
    assert [(payload["alert"], payload["state"]) for _, _, payload in hook.received] == [("heartbeat", "firing")] * 2
    assert "one has written no heartbeat since" in hook.received[1][2]["text"]
    own.silent_for = timedelta()
    await monitor.check()
    await monitor.check()
    assert [payload["state"] for _, _, payload in hook.received[2:]] == ["over"]


async def test_a_failing_channel_does_not_affect_the_others(ledger: Ledger, clock: FrozenClock, hook: Receiver) -> None:
    class Broken:
        async def notify(self, *_: object) -> None:
            raise ValueError

    monitor = alert_monitor(clock, Broken(), WebhookChannel(hook.url), ping_url=f"{hook.url}/ping")
    await record_job_start(SCAN, "one", clock.now(), clock.now())
    await _trouble(ledger, clock)
    await monitor.check()
    assert [path for _, path, _ in hook.received] == ["/", "/ping"]
    assert not await RaisedAlert.filter(notified_at=None).exists()
