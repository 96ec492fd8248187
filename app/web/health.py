"""Liveness, readiness and metrics."""

from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import Request

from app.store.database import is_unavailable, reason_of
from app.store.execution import within
from app.store.statistics import monitor_view, scheduler_stalled
from app.web.metrics import exposition
from app.web.pages import CurrentServices
from app.web.request_log import log_error
from app.wiring import Services

router = APIRouter(include_in_schema=False)
_LONGEST = 5.0  # seconds

_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip", "via")


class Readiness(BaseModel):
    database: Literal["ok", "unreachable"] = "ok"
    migrations: Literal["ok", "missing", "newer", "unknown"] = "ok"
    keys: Literal["ok", "missing", "unknown"] = "ok"
    scheduler: Literal["ok", "stale", "unknown"] = "ok"
    wrong: list[str] = []


@router.get("/healthz", name="healthz")
async def show_health() -> dict[str, str]:
    """Only says that this process answers."""
    return {"status": "ok"}


@router.get("/readyz", name="readyz")
async def show_readiness(services: CurrentServices, response: Response) -> Readiness:
    """200, or 503 with what is wrong.

    The scheduler may run in another process. If that one is gone, another takes over within the
    lease and a few seconds, so after two leases no process will.
    """
    try:
        found = await within(_LONGEST, _readiness(services))
    except Exception as error:
        if not is_unavailable(error):
            raise
        log_error(error, "readyz")
        found = Readiness(
            database="unreachable", migrations="unknown", keys="unknown", scheduler="unknown", wrong=[reason_of(error)]
        )
    if found.wrong:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return found


async def _readiness(services: Services) -> Readiness:
    faults = await services.readiness.faults()
    states: dict[str, Any] = {fault.part: fault.state for fault in faults}
    if "database" in states:
        states |= dict.fromkeys(("migrations", "keys"), "unknown")
    if states:
        return Readiness(**states, scheduler="unknown", wrong=[fault.text for fault in faults])
    if await scheduler_stalled(services.clock.now(), 2 * services.settings.lease):
        return Readiness(scheduler="stale", wrong=["no process runs the scheduler"])
    return Readiness()


@router.get("/metrics", name="metrics")
async def show_metrics(request: Request, services: CurrentServices) -> Response:
    """No text, no address, some hundred lines at most.

    404 for a client that is neither this machine nor in MAILBOX_METRICS_ALLOW (ASVS 13.4).
    """
    settings, now = services.settings, services.clock.now()
    if not may_read_metrics(request, settings.metrics_allow):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    text = exposition(await within(_LONGEST, monitor_view(now)), now, settings.lease, paused=settings.paused)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def may_read_metrics(request: Request, allowed: tuple[str, ...]) -> bool:
    """Whether the client is this machine or in one of these networks.

    A forwarded request from this machine comes from a proxy that is not in MAILBOX_TRUSTED_PROXIES,
    or whose client is this machine; only the setting allows it.
    """
    try:
        client = ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    client = getattr(client, "ipv4_mapped", None) or client
    if client.is_loopback and not any(header in request.headers for header in _FORWARDING):
        return True
    return any(client in ip_network(network) for network in allowed)
