"""For those who watch the program: is it alive, is it ready, and how does it stand."""

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from app.store.database import connection, is_unavailable, missing_migrations
from app.store.watching import is_stale, watch
from app.web.journal import note
from app.web.metrics import exposition
from app.web.pages import OpenMailbox

router = APIRouter(include_in_schema=False)


class Readiness(BaseModel):
    """What the program stands on."""

    database: Literal["ok", "unreachable"]
    migrations: Literal["ok", "missing", "unknown"]
    scheduler: Literal["ok", "stale", "unknown"]


@router.get("/healthz", name="healthz")
async def health() -> dict[str, str]:
    """Say that this process answers; nothing else is asked."""
    return {"status": "ok"}


@router.get("/readyz", name="readyz")
async def readiness(mailbox: OpenMailbox, response: Response) -> Readiness:
    """Say whether letters can be taken and sent: 200, or 503 with what is wrong.

    The scheduler may be another process's: where it is gone, some process takes over within the
    lease and a few seconds, so after two leases nobody will.
    """
    settings = mailbox.settings
    try:
        await connection().execute_query("SELECT 1")
        missing = await missing_migrations(settings.database_url)
        stale = not missing and await is_stale(mailbox.clock.now(), 2 * settings.lease)
    except Exception as error:
        if not is_unavailable(error):
            raise
        note(error, "readyz")
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(database="unreachable", migrations="unknown", scheduler="unknown")
    if missing or stale:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Readiness(
        database="ok",
        migrations="missing" if missing else "ok",
        scheduler="unknown" if missing else "stale" if stale else "ok",
    )


@router.get("/metrics", name="metrics")
async def metrics(mailbox: OpenMailbox) -> Response:
    """Tell Prometheus how the ledger stands: no text, no address, no more than some hundred lines."""
    settings, now = mailbox.settings, mailbox.clock.now()
    text = exposition(await watch(now), now, settings.lease, paused=settings.paused)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
