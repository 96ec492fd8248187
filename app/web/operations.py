"""For those who watch the program: is it alive, is it ready."""

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.store.database import connection, is_unavailable, missing_migrations
from app.web.journal import note
from app.web.pages import OpenMailbox

router = APIRouter(include_in_schema=False)


class Readiness(BaseModel):
    """What the program stands on."""

    database: Literal["ok", "unreachable"]
    migrations: Literal["ok", "missing", "unknown"]


@router.get("/healthz", name="healthz")
async def health() -> dict[str, str]:
    """Say that this process answers; nothing else is asked."""
    return {"status": "ok"}


@router.get("/readyz", name="readyz")
async def readiness(mailbox: OpenMailbox, response: Response) -> Readiness:
    """Say whether letters can be taken: 200, or 503 with what is wrong."""
    try:
        await connection().execute_query("SELECT 1")
        missing = await missing_migrations(mailbox.settings.database_url)
    except Exception as error:
        if not is_unavailable(error):
            raise
        note(error, "readyz")
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(database="unreachable", migrations="unknown")
    if missing:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Readiness(database="ok", migrations="missing" if missing else "ok")
