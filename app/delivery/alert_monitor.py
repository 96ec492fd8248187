"""Checks for alerts in every serving process: a dead scheduler cannot report itself."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
"""Seconds between two checks."""
_PING_INTERVAL = 60.0  # seconds
_TIMEOUT = 60.0  # seconds for one channel: a mail server may take ten minutes to reply


class Worker(Protocol):
    """This process as a worker. `silent_for`: how long ago its last heartbeat was written."""

    name: str
    lease: timedelta

    @property
    def silent_for(self) -> timedelta: ...

    @property
    def clock_deviation(self) -> timedelta: ...


class AlertMonitor:
    """An async context: inside it this process checks every 30 seconds, and notifies the operator once an alert."""

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
        """`ping_url`, if any, is requested after each of this process's scans."""
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
        self._heartbeat_alert: RaisedAlert | None = None
        self._errors = {part: LoopErrors(part) for part in ("alerts", "heartbeat alert", "channel", "ping")}
        self._checks: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "AlertMonitor":
        self._checks = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._checks:
            self._checks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._checks

    async def check(self) -> None:
        """Check once: record alerts, send the unsent ones, and ping. A failure of one part does not stop the others."""
        now = self._clock.now()
        with self._errors["heartbeat alert"]:
            await self._check_heartbeat(now)
        with self._errors["alerts"]:
            await self._check_ledger(now)
        with self._errors["ping"]:
            await self._ping()

    async def _check_heartbeat(self, now: datetime) -> None:
        """Notify once when our heartbeat has not been written for a lease, and once when it is written again."""
        silent_for, alert = self._worker.silent_for, self._heartbeat_alert
        if silent_for >= self._worker.lease and alert is None:
            alert = RaisedAlert(name=Alert.HEARTBEAT.value, since=now - silent_for, fired_at=now)
        elif silent_for < self._worker.lease and alert:
            alert.ended_at = now
        else:
            return
        log.warning("alert over" if alert.ended_at else "alert firing", alert=alert.name)
        if await self._notify(self._texts.notification(alert, worker=self._worker.name), now):
            self._heartbeat_alert = None if alert.ended_at else alert

    async def _check_ledger(self, now: datetime) -> None:
        snapshot = await alerts.take_snapshot(
            now,
            self._since,
            paused=self._paused or await paused() is not None,
            clock_deviation=self._worker.clock_deviation,
        )
        await alerts.record(firing(snapshot, self._thresholds), now)
        for alert in await alerts.claim_unsent(now):
            log.warning("alert over" if alert.ended_at else "alert firing", alert=alert.name)
            if await self._notify(self._texts.notification(alert, snapshot), now):
                await alerts.mark_sent(alert, now)

    async def _notify(self, notification: Notification, now: datetime) -> bool:
        accepted = await asyncio.gather(*(self._notify_by(channel, notification, now) for channel in self._channels))
        return any(accepted) or not self._channels

    async def _notify_by(self, channel: Channel, notification: Notification, now: datetime) -> bool:
        with self._errors["channel"]:
            try:
                async with asyncio.timeout(_TIMEOUT):
                    await channel.notify(notification, now)
            except (NotifyError, TimeoutError) as error:
                log.error("operator not notified", channel=type(channel).__name__, error=str(error) or "timeout")
            else:
                return True
        return False

    async def _ping(self) -> None:
        if not self._ping_url or self._clock.monotonic() - self._pinged_at < _PING_INTERVAL:
            return
        run = await last_run(SCAN)
        if run is None or run.worker_name != self._worker.name or run.started_at == self._pinged_for:
            return
        try:
            await request("GET", self._ping_url)
            self._pinged_for, self._pinged_at = run.started_at, self._clock.monotonic()
        except NotifyError as error:
            log.warning("ping failed", error=str(error))

    async def _run(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(INTERVAL)


@dataclass(frozen=True, slots=True)
class AlertTexts:
    language: str
    zone: str
    origin: str

    def notification(self, alert: RaisedAlert, snapshot: Snapshot | None = None, worker: str = "") -> Notification:
        values: Mapping[str, object] = {
            "alert": Alert(alert.name),
            "snapshot": snapshot,
            "since": self._moment(alert.since),
            "over": self._moment(alert.ended_at),
            "oldest": self._moment(snapshot.oldest_due_at if snapshot else None),
            "led": self._moment(snapshot.led_at if snapshot else None),
            "worker": worker,
        }
        short = render("emails/alert/short.txt", self.language, origin=self.origin, **values).strip()
        facts = {
            "alert": alert.name,
            "state": "over" if alert.ended_at else "firing",
            "since": alert.since.isoformat(),
            "url": f"{self.origin}/admin",
        }
        return Notification("alert", values, short, facts)

    def _moment(self, moment: datetime | None) -> str:
        return long_date(moment, self.zone, self.language) if moment else ""
