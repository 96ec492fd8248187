"""The activity log."""

from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from app.domain.delivery_filter import DeliveryFilter, read_filter
from app.domain.status import Action, Event
from app.store.audit_log import PAGE, audit_entries
from app.store.operator_models import OperatorAction
from app.web.admin.base import SignedIn, admin_page
from app.web.pages import CurrentServices

router = APIRouter(prefix="/admin/trail", include_in_schema=False)

_LARGEST_ID = 2**63 - 1


@router.get("", name="trail")
async def show_audit_log(
    request: Request, account: SignedIn, services: CurrentServices, before: int = _LARGEST_ID
) -> Response:
    found = await audit_entries(min(max(before, 1), _LARGEST_ID), PAGE + 1)
    shown = found[:PAGE]
    return admin_page(
        request,
        "admin/audit_log.html",
        account,
        entries=[(entry, _described(entry, services)) for entry in shown],
        further=shown[-1].id if len(found) > PAGE else None,
    )


def _described(entry: OperatorAction, services: CurrentServices) -> DeliveryFilter | list[str] | None:
    """Return the filter or the ids of an action on deliveries; None: its subject is a text."""
    if entry.action != Event.EXPORT and (entry.action not in set(Action) or entry.asked is None):
        return None
    if entry.subject[:1].isdigit():
        return entry.subject.split(", ")
    return read_filter(parse_qsl(entry.subject), services.settings.zone)
