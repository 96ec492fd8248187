"""The page of what operators did."""

from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from app.domain.actions import Action, Deed
from app.domain.selection import Selection, read_selection
from app.store.trail import PAGE, Entry, entries
from app.web.desk.frame import SignedIn, desk_page
from app.web.pages import OpenMailbox

router = APIRouter(prefix="/admin/trail", include_in_schema=False)

_LARGEST_ID = 2**63 - 1


@router.get("", name="trail")
async def trail(request: Request, account: SignedIn, mailbox: OpenMailbox, before: int = _LARGEST_ID) -> Response:
    found = await entries(min(max(before, 1), _LARGEST_ID), PAGE + 1)
    shown = found[:PAGE]
    return desk_page(
        request,
        "admin/trail.html",
        account,
        entries=[(entry, _meant(entry, mailbox)) for entry in shown],
        further=shown[-1].id if len(found) > PAGE else None,
    )


def _meant(entry: Entry, mailbox: OpenMailbox) -> Selection | list[str] | None:
    """Return the selection or the ids that an action on deliveries was for; None: its subject says it in words."""
    if entry.action != Deed.EXPORT and (entry.action not in set(Action) or entry.asked is None):
        return None
    if entry.subject[:1].isdigit():
        return entry.subject.split(", ")
    return read_selection(parse_qsl(entry.subject), mailbox.settings.zone)
