"""Every serving process looks whether the post office is well: a scheduler that is dead cannot say so."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol

import structlog

from app.clock import Clock
from app.delivery.loop_errors import LoopErrors
from app.delivery.notify import Channel, Notification, NotifyError, request
from app.domain.alerts import Alert, Snapshot, Thresholds, firing
from app.store import alerts
from app.store.job_runs import SCAN, last_run
from app.store.operator_models import RaisedAlert
from app.store.pauses import paused
from app.templating import long_date, render

log = structlog.get_logger()
INTERVAL = 30.0
"""Seconds between two looks."""
_PING_INTERVAL = 60.0  # seconds
_LONGEST = 60.0  # seconds to tell by one channel: a mail server may keep us waiting for ten minutes


class Worker(Protocol):
    """What a process knows of its own work. `silent_for`: how long its heartbeat has not been written."""

    name: str
    lease: timedelta

    @property
    def silent_for(self) -> timedelta: ...

    @property
    def clock_deviation(self) -> timedelta: ...


class AlertMonitor:
    """An async context: inside it this process looks every 30 seconds, and tells the operator what it finds once."""

    def __init__(
        self,
        *,
        channels: Sequence[Channel],
        thresholds: Thresholds,
        ping_url: str,
        worker: "Worker",
        paused: bool,
        clock: Clock,
        texts: "AlertTexts",
    ) -> None:
        """Take the ways to the operator, and what is asked for after a scan of ours that ended well, if anything."""
        self._channels = channels
        self._thresholds = thresholds
        self._ping_url = ping_url
        self._worker = worker
        self._paused = paused
        self._clock = clock
        self._texts = texts
        self._since = clock.now()
        self._pinged_for: datetime | None = None
        self._pinged_at = float("-inf")
        self._heartbeat_alarm: RaisedAlert | None = None
        self._errors = {part: LoopErrors(part) for part in ("alerts", "heartbeat alert", "channel", "ping")}
        self._closing = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "AlertMonitor":
        self._looking = asyncio.create_task(self._look_again_and_again())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        if self._looking:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def check(self) -> None:
        """Look once: raise alarms, tell what nobody was told, and ping; what fails stops nothing else."""
        now = self._clock.now()
        with self._errors["heartbeat alert"]:
            await self._look_at_heartbeat(now)
        with self._errors["alerts"]:
            await self._look_at_ledger(now)
        with self._errors["ping"]:
            await self._ping()

    async def _look_at_heartbeat(self, now: datetime) -> None:
        """Tell, once, that our heartbeat has not been written for a lease, and once that it is written again."""
        silent_for, alarm = self._worker.silent_for, self._heartbeat_alarm
        if silent_for >= self._worker.lease and alarm is None:
            alarm = RaisedAlert(name=Alert.HEARTBEAT.value, since=now - silent_for, rang_at=now)
        elif silent_for < self._worker.lease and alarm:
            alarm.over_at = now
        else:
            return
        log.warning("alarm is over" if alarm.over_at else "alarm", alarm=alarm.name)
        if await self._tell(self._texts.notification(alarm, worker=self._worker.name), now):
            self._heartbeat_alarm = None if alarm.over_at else alarm

    async def _look_at_ledger(self, now: datetime) -> None:
        stand = await alerts.take_snapshot(
            now,
            self._since,
            paused=self._paused or await paused() is not None,
            clock_deviation=self._worker.clock_deviation,
        )
        await alerts.record(firing(stand, self._thresholds), now)
        for alarm in await alerts.claim_unsent(now):
            log.warning("alarm is over" if alarm.over_at else "alarm", alarm=alarm.name)
            if await self._tell(self._texts.notification(alarm, stand), now):
                await alerts.mark_sent(alarm, now)

    async def _tell(self, news: Notification, now: datetime) -> bool:
        """Return whether any channel took it; without a channel the log is enough."""
        taken = await asyncio.gather(*(self._tell_by(channel, news, now) for channel in self._channels))
        return any(taken) or not self._channels

    async def _tell_by(self, channel: Channel, news: Notification, now: datetime) -> bool:
        with self._errors["channel"]:
            try:
                async with asyncio.timeout(_LONGEST):
                    await channel.notify(news, now)
            except (NotifyError, TimeoutError) as error:
                log.error("the operator could not be told", by=type(channel).__name__, error=str(error) or "time-out")
            else:
                return True
        return False

    async def _ping(self) -> None:
        """Show a dead man's switch that our scans end well; where another leads, that one does."""
        if not self._ping_url or self._clock.monotonic() - self._pinged_at < _PING_INTERVAL:
            return
        run = await last_run(SCAN)
        if run is None or run.worker_name != self._worker.name or run.started_at == self._pinged_for:
            return
        try:
            await request("GET", self._ping_url)
            self._pinged_for, self._pinged_at = run.started_at, self._clock.monotonic()
        except NotifyError as error:
            log.warning("the ping address does not answer", error=str(error))

    async def _look_again_and_again(self) -> None:
        while not self._closing.is_set():
            await self.check()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._closing.wait()


class AlertTexts:
    """Says what is wrong in the operator's language and zone."""

    def __init__(self, language: str, zone: str, origin: str) -> None:
        self._language = language
        self._zone = zone
        self._origin = origin

    def notification(self, alarm: RaisedAlert, stand: Snapshot | None = None, worker: str = "") -> Notification:
        values: Mapping[str, object] = {
            "alert": Alert(alarm.name),
            "stand": stand,
            "since": self._moment(alarm.since),
            "over": self._moment(alarm.over_at),
            "oldest": self._moment(stand.oldest_due_at if stand else None),
            "led": self._moment(stand.led_at if stand else None),
            "worker": worker,
        }
        short = render("emails/alert/short.txt", self._language, origin=self._origin, **values).strip()
        facts = {
            "alarm": alarm.name,
            "state": "over" if alarm.over_at else "ringing",
            "since": alarm.since.isoformat(),
            "url": f"{self._origin}/admin",
        }
        return Notification("alert", values, short, facts)

    def _moment(self, moment: datetime | None) -> str:
        return long_date(moment, self._zone, self._language) if moment else ""
