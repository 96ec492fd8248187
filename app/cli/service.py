"""The commands `serve`, `migrate` and `scan`."""

import asyncio
import json
import logging
import os
from datetime import timedelta
from typing import Annotated

import typer
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from app.cli.prompts import PAUSED, say_if_paused
from app.clock import SystemClock
from app.domain.status import Status
from app.installation import PACKAGE, folder
from app.settings import Settings, load_settings
from app.store.database import migrate as apply_migrations
from app.store.job_runs import SCAN_COMMAND, record_job_end, record_job_start
from app.web.lifespan import show_first_password
from app.wiring import build_worker, open_services

_GRACE = 30  # seconds uvicorn gives open requests
_SLOWEST_START = 60  # seconds; uvicorn kills a child that does not answer, and one that still imports may not


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: MAILBOX_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [default: MAILBOX_PORT]")] = None,
    *,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when the source changes")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer requests")] = 1,
) -> None:
    """Serve the pages and deliver letters."""
    if host is not None:
        os.environ["MAILBOX_HOST"] = host  # the workers read it again
    if port is not None:
        os.environ["MAILBOX_PORT"] = str(port)
    settings = load_settings()
    asyncio.run(_prepare(settings))
    if workers > 1:
        logging.getLogger("uvicorn.error").setLevel(logging.INFO)  # where the parent tells of children that died
    uvicorn.run(
        "app.web.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        reload=reload,
        reload_dirs=[str(PACKAGE), str(folder("templates"))] if reload else None,
        workers=workers,
        access_log=False,  # it writes paths, and ours hold tokens
        log_config=None,
        http="app.web.protocol:BoundedProtocol",
        server_header=False,
        proxy_headers=False,  # the application reads them itself, under any server
        timeout_graceful_shutdown=_GRACE,
        timeout_worker_healthcheck=_SLOWEST_START,
    )


async def _prepare(settings: Settings) -> None:
    """Check that the program can start: an error inside a lifespan is a traceback, or a hang."""
    async with open_services(settings, SystemClock()) as services:
        typer.echo(f"Write a letter at {settings.origin}/")
        typer.echo(
            f"Letters land in {settings.outbox_dir} and are shown at {settings.origin}/outbox"
            if services.outbox
            else "Letters are handed to the mail server of MAILBOX_SMTP_URL"
        )
        if settings.paused:
            typer.echo(PAUSED)
        await say_if_paused()
        if not await show_first_password(services):
            typer.echo(
                f"The admin page is {settings.origin}/admin (for another password: slow-mailbox admin reset NAME)"
            )


def migrate() -> None:
    """Apply the migrations that the database lacks."""
    applied = asyncio.run(apply_migrations(load_settings().database_url))
    typer.echo("\n".join(f"applied {name}" for name in applied) or "the database is up to date")


def scan() -> None:
    """Deliver until nothing is due, and report as JSON. Exit code 1 if anything failed."""
    settings = load_settings()
    if settings.paused:
        typer.echo(PAUSED, err=True)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # what uvicorn runs on
        report = runner.run(_scan(settings))
    typer.echo(json.dumps(report))
    raise typer.Exit(int(any(report[status] for status in (Status.FAILED, Status.UNCERTAIN, Status.SCHEDULED))))


async def _scan(settings: Settings) -> dict[str, int | bool]:
    async with open_services(settings, SystemClock()) as services, build_worker(services, leads=False) as worker:
        await worker.wait_for_clock()
        clock = services.clock
        began = clock.monotonic()
        await record_job_start(SCAN_COMMAND, worker.heartbeat.name, clock.now())
        await worker.dispatcher.drain()
        took = timedelta(seconds=clock.monotonic() - began)
        await record_job_end(SCAN_COMMAND, clock.now(), took, worker.completer.settled.total())
        settled = worker.completer.settled
        paused = await say_if_paused()
    sums = {status.value: settled[status] for status in Status if status is not Status.CLAIMED}
    return sums | {"paused": settings.paused or paused}
