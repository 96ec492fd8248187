"""What runs beside the pages: the mailbox is opened, the station delivers, and signals are heard first."""

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from types import FrameType

from fastapi import FastAPI

from app.clock import Clock
from app.delivery.bulk import BulkActions
from app.rendering import LANGUAGES, environment
from app.settings import Settings
from app.store.keys_in_use import record_key
from app.web.arrivals import zone_options
from app.web.greeting import greet
from app.wiring import build_station, build_watchman, open_mailbox

Lifespan = Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]


def lifespan_of(settings: Settings, clock: Clock) -> Lifespan:
    """Return the lifespan of an application: it may lead, and then its scheduler runs."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        prepare()
        async with open_mailbox(settings, clock) as mailbox:
            await record_key(mailbox.vault)
            await greet(mailbox)
            station = build_station(mailbox, leads=True)
            bulk_actions = BulkActions(clock, station.scan.start)
            app.state.mailbox, app.state.station = mailbox, station
            app.state.bulk_actions, app.state.wake_scan = bulk_actions, station.scan.start
            with _stopping_at_signals(station.stop):  # until the last delivery has landed
                async with station, bulk_actions, build_watchman(mailbox, station):
                    yield

    return lifespan


@cache
def prepare() -> None:
    """Read what the first visitor would wait for, and have no garbage looked for in what stays.

    While a wave goes out, a full collection comes every few seconds. With all that was read at the
    start to look through, it would stop everything for a tenth of a second.
    """
    for language in LANGUAGES:
        zone_options(language)
        environment(language).get_template("pages/write.html")
    gc.freeze()


@contextlib.contextmanager
def _stopping_at_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Hear SIGTERM and SIGINT before uvicorn does.

    uvicorn waits for open requests before it ends the lifespan; until then we would go on
    claiming. The second of the same kind ends the process at once, as if nobody listened: the
    ledger recovers from that as from any kill.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    # Not the context that the signal interrupts: that one may be in the middle of a transaction,
    # and what `stop` begins would run on its connection.
    context = contextvars.copy_context()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def hear(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        loop.call_soon_threadsafe(stop, context=context)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)
        else:
            os.kill(os.getpid(), number)

    for number in before:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
