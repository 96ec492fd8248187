"""What runs beside the pages: services, worker, alert monitor, signal handlers."""

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
from app.delivery.bulk_actions import BulkActions
from app.errors import AccountError, SettingsError
from app.settings import Settings
from app.store.accounts import ensure_first_account
from app.store.key_rotation import record_key
from app.templating import LANGUAGES, environment
from app.web.arrival_choices import zone_options
from app.wiring import Services, build_alert_monitor, build_worker, open_services

Lifespan = Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]


def lifespan_of(settings: Settings, clock: Clock) -> Lifespan:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warm_up()
        async with open_services(settings, clock) as services:
            await record_key(services.cipher)
            await show_first_password(services)
            worker = build_worker(services, leads=True)
            bulk_actions = BulkActions(clock, worker.dispatcher.start)
            app.state.services, app.state.worker = services, worker
            app.state.bulk_actions, app.state.wake_scan = bulk_actions, worker.dispatcher.start
            with _stopping_at_signals(worker.stop):  # until the last delivery has landed
                async with worker, bulk_actions, build_alert_monitor(services, worker):
                    yield

    return lifespan


@cache
def warm_up() -> None:
    """Load what the first request would wait for, and exclude it from garbage collection.

    During a wave a full collection runs every few seconds, and would stop the loop for a tenth of a second.
    """
    for language in LANGUAGES:
        zone_options(language)
        environment(language).get_template("pages/write.html")
    gc.freeze()


@contextlib.contextmanager
def _stopping_at_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Handle SIGTERM and SIGINT before uvicorn does.

    uvicorn waits for open requests before it ends the lifespan; until then the worker would go on
    claiming. A second signal of the same kind ends the process at once; the ledger recovers from
    that as from any kill.
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


async def show_first_password(services: Services) -> bool:
    """Create the first account and print its password. False: there is an account already."""
    settings = services.settings
    try:
        made = await ensure_first_account(settings.admin_username, settings.admin_password, services.clock.now())
    except AccountError as error:
        raise SettingsError(f"MAILBOX_ADMIN_USERNAME or MAILBOX_ADMIN_PASSWORD: {error}") from None
    if made:
        print(  # noqa: T201 - a password belongs on the terminal and not in a log
            f"The admin page is {settings.origin}/admin, user name {settings.admin_username}, password {made}\n"
            f"This password is shown only now; for another: slow-mailbox admin reset {settings.admin_username}",
            flush=True,
        )
    return made is not None
