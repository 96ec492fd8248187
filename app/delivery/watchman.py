"""Every serving process looks whether the post office is well: a scheduler that is dead cannot say so."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType

import structlog

from app.clock import Clock
from app.delivery.telling import Channel, News, NotTold, request
from app.domain.alarms import Alarm, Limits, Stand, ringing
from app.rendering import long_date, render
from app.store import alarms
from app.store.database import is_unavailable
from app.store.desk_models import RaisedAlarm
from app.store.job_runs import SCAN, last_run
from app.store.pauses import paused

log = structlog.get_logger()
EVERY = 30.0
"""Seconds between two looks."""
_PING_EVERY = 60.0  # seconds


class Watchman:
    """An async context: inside it this process looks every 30 seconds, and tells the operator what it finds once."""

    def __init__(
        self,
        *,
        channels: Sequence[Channel],
        limits: Limits,
        ping_url: str,
        worker_name: str,
        paused: bool,
        clock: Clock,
        words: "Words",
    ) -> None:
        """Take the ways to the operator, and what is asked for after a scan of ours that ended well, if anything."""
        self._channels = channels
        self._limits = limits
        self._ping_url = ping_url
        self._worker_name = worker_name
        self._paused = paused
        self._clock = clock
        self._words = words
        self._since = clock.now()
        self._pinged_for: datetime | None = None
        self._pinged_at = float("-inf")
        self._closing = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watchman":
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

    async def look(self) -> None:
        """Look once: raise alarms, tell what nobody was told, and ping."""
        now = self._clock.now()
        stand = await alarms.take_stand(now, self._since, paused=self._paused or await paused() is not None)
        await alarms.record(ringing(stand, self._limits), now)
        for alarm in await alarms.take_untold(now):
            log.warning("alarm is over" if alarm.over_at else "alarm", alarm=alarm.name)
            if await self._tell(self._words.about(alarm, stand), now):
                await alarms.told(alarm, now)
        await self._ping()

    async def _tell(self, news: News, now: datetime) -> bool:
        """Return whether anybody heard it; with nobody to tell, the log is enough."""
        heard = not self._channels
        for channel in self._channels:
            try:
                await channel.tell(news, now)
                heard = True
            except NotTold as error:
                log.error("the operator could not be told", by=type(channel).__name__, error=str(error))
        return heard

    async def _ping(self) -> None:
        """Show a dead man's switch that our scans end well; where another leads, that one does."""
        if not self._ping_url or self._clock.monotonic() - self._pinged_at < _PING_EVERY:
            return
        run = await last_run(SCAN)
        if run is None or run.worker_name != self._worker_name or run.started_at == self._pinged_for:
            return
        try:
            await request("GET", self._ping_url)
            self._pinged_for, self._pinged_at = run.started_at, self._clock.monotonic()
        except NotTold as error:
            log.warning("the ping address does not answer", error=str(error))

    async def _look_again_and_again(self) -> None:
        while not self._closing.is_set():
            try:
                await self.look()
            except Exception as error:
                if is_unavailable(error):
                    log.warning("the database is away; the watchman waits", error=type(error).__name__)
                else:
                    log.exception("the watchman failed in an unforeseen way")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._closing.wait()


class Words:
    """Says what is wrong in the operator's language and zone."""

    def __init__(self, language: str, zone: str, origin: str) -> None:
        self._language = language
        self._zone = zone
        self._origin = origin

    def about(self, alarm: RaisedAlarm, stand: Stand) -> News:
        values: Mapping[str, object] = {
            "alarm": Alarm(alarm.name),
            "stand": stand,
            "since": self._moment(alarm.since),
            "over": self._moment(alarm.over_at),
            "oldest": self._moment(stand.oldest_due_at),
            "led": self._moment(stand.led_at),
        }
        short = render("emails/alarm/short.txt", self._language, origin=self._origin, **values).strip()
        facts = {
            "alarm": alarm.name,
            "state": "over" if alarm.over_at else "ringing",
            "since": alarm.since.isoformat(),
            "url": f"{self._origin}/admin",
        }
        return News("alarm", values, short, facts)

    def _moment(self, moment: datetime | None) -> str:
        return long_date(moment, self._zone, self._language) if moment else ""
