"""Giving a letter another recipient address."""

from http import HTTPStatus

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from app.domain.status import Event
from app.errors import BeingSent, LetterNotFound, LimitExceeded, MailboxError, NotCorrectable
from app.store.accounts import AccountView
from app.store.audit_log import Operator, record, record_delivery_events
from app.store.database import transaction
from app.store.delivery_details import DeliveryDetails, delivery_details
from app.store.execution import retried
from app.templating import translations
from app.web.admin.base import DeliveryId, SignedIn, admin_page, operator_of
from app.web.form_parsing import FormValues
from app.web.forms import N_, FieldError, read_address
from app.web.language import language_of
from app.web.pages import CurrentServices
from app.wiring import Services

router = APIRouter(prefix="/admin/deliveries", include_in_schema=False)

_MISSING = FieldError(N_("Please enter an address."))
_TROUBLES: dict[type[Exception], str] = {
    BeingSent: N_("A delivery of this letter is in progress. Please try again in a minute."),
    NotCorrectable: N_("This letter has no deliveries left."),
    LetterNotFound: N_("This letter is no longer stored."),
    LimitExceeded: N_(
        "The address of this letter was changed too often today, or the daily limit for letters is reached."
    ),
}


@router.get("/{delivery_id}/address", name="ask for another address")
async def show_address_form(
    request: Request, account: SignedIn, services: CurrentServices, delivery_id: DeliveryId
) -> Response:
    return _form(request, account, await _found(services, delivery_id))


@router.post("/{delivery_id}/address", name="correct the address at the desk")
async def change_address(
    request: Request, account: SignedIn, services: CurrentServices, delivery_id: DeliveryId, form: FormValues
) -> Response:
    found, typed = await _found(services, delivery_id), form.get("recipient_email", "")
    address = read_address(typed) or _MISSING
    if isinstance(address, FieldError):
        return _form(request, account, found, typed, fault=address)
    try:
        await _correct(services, operator_of(request, account), found, delivery_id, address)
    except MailboxError as error:
        if type(error) not in _TROUBLES:
            raise
        return _form(request, account, found, typed, trouble=_TROUBLES[type(error)])
    return RedirectResponse(f"/admin/deliveries/{delivery_id}", HTTPStatus.SEE_OTHER)


@retried
async def _correct(
    services: Services, operator: Operator, found: DeliveryDetails, delivery_id: int, address: str
) -> None:
    now = services.clock.now()
    async with transaction():
        await services.corrections.correct(found.letter.id, address, None, now)
        await record(operator, Event.CORRECT, now, subject=str(delivery_id))
        await record_delivery_events(operator, Event.CORRECT, [delivery_id], now)


async def _found(services: Services, delivery_id: int) -> DeliveryDetails:
    found = await delivery_details(services.cipher, delivery_id)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found


def _form(
    request: Request,
    account: AccountView,
    found: DeliveryDetails,
    typed: str = "",
    *,
    fault: FieldError | None = None,
    trouble: str = "",
) -> Response:
    language = language_of(request)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.CONFLICT if trouble else HTTPStatus.OK
    return admin_page(
        request,
        "admin/address_change.html",
        account,
        status,
        found=found,
        typed={"recipient_email": typed},
        errors={"recipient_email": fault.words(language)} if fault else {},
        trouble=translations(language).gettext(trouble) if trouble else "",
    )
