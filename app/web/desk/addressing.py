"""Giving a letter another reader's address, from the desk."""

from http import HTTPStatus

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from app.domain.actions import Deed
from app.errors import LeavingJustNow, LetterNotFound, MailboxError, NotCorrectable, TooMany
from app.rendering import translations
from app.store.accounts import AccountView
from app.store.database import transaction
from app.store.inspecting import Inspection, inspect
from app.store.operations import retried
from app.store.trail import Operator, record, record_touches
from app.web.bodies import FormValues
from app.web.desk.frame import DeliveryId, SignedIn, desk_page, operator_of
from app.web.forms import N_, Fault, read_address
from app.web.language import language_of
from app.web.pages import OpenMailbox
from app.wiring import Mailbox

router = APIRouter(prefix="/admin/deliveries", include_in_schema=False)

_MISSING = Fault(N_("Please give an address."))
_TROUBLES: dict[type[Exception], str] = {
    LeavingJustNow: N_("Part of this letter is with the mail server at this moment. Please try again in a minute."),
    NotCorrectable: N_("Nothing of this letter is still to come."),
    LetterNotFound: N_("This letter is no longer kept."),
    TooMany: N_(
        "This letter was given other addresses too often today, or more letters have come than we take in a day."
    ),
}


@router.get("/{delivery_id}/address", name="ask for another address")
async def ask(request: Request, account: SignedIn, mailbox: OpenMailbox, delivery_id: DeliveryId) -> Response:
    return _form(request, account, await _found(mailbox, delivery_id))


@router.post("/{delivery_id}/address", name="correct the address at the desk")
async def correct(
    request: Request, account: SignedIn, mailbox: OpenMailbox, delivery_id: DeliveryId, form: FormValues
) -> Response:
    found, typed = await _found(mailbox, delivery_id), form.get("recipient_email", "")
    address = read_address(typed) or _MISSING
    if isinstance(address, Fault):
        return _form(request, account, found, typed, fault=address)
    try:
        await _correct(mailbox, operator_of(request, account), found, delivery_id, address)
    except MailboxError as error:
        if type(error) not in _TROUBLES:
            raise
        return _form(request, account, found, typed, trouble=_TROUBLES[type(error)])
    return RedirectResponse(f"/admin/deliveries/{delivery_id}", HTTPStatus.SEE_OTHER)


@retried
async def _correct(mailbox: Mailbox, operator: Operator, found: Inspection, delivery_id: int, address: str) -> None:
    now = mailbox.clock.now()
    async with transaction():
        await mailbox.corrections.correct(found.letter.id, address, None, now)
        await record(operator, Deed.CORRECT, now, subject=str(delivery_id))
        await record_touches(operator, Deed.CORRECT, [delivery_id], now)


async def _found(mailbox: Mailbox, delivery_id: int) -> Inspection:
    found = await inspect(mailbox.vault, delivery_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found


def _form(
    request: Request,
    account: AccountView,
    found: Inspection,
    typed: str = "",
    *,
    fault: Fault | None = None,
    trouble: str = "",
) -> Response:
    language = language_of(request)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.CONFLICT if trouble else HTTPStatus.OK
    return desk_page(
        request,
        "admin/address.html",
        account,
        status,
        found=found,
        typed={"recipient_email": typed},
        errors={"recipient_email": fault.words(language)} if fault else {},
        trouble=translations(language).gettext(trouble) if trouble else "",
    )
