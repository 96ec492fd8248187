"""The letters in the outbox folder, for whoever tries the program out on this very machine."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from starlette.requests import Request

from app.mail.outbox import Outbox
from app.web.pages import mailbox_of
from app.web.security import host_name, is_loopback

router = APIRouter(include_in_schema=False)

_SHOWN = 100
_HEADERS = ("From", "To", "Date", "Subject", "Message-ID")
_FORWARDED = ("forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip")
_FRAME_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'"


def is_open(request: Request) -> bool:
    """Return whether this request may see the outbox.

    No mail server is set, and the server, the peer and the Host are this machine; a proxy in
    front, which would make every visitor look like this machine, gives itself away by a header.
    """
    mailbox = mailbox_of(request)
    client = request.client.host if request.client else ""
    return (
        mailbox.outbox is not None
        and all(map(is_loopback, (mailbox.settings.host, client, host_name(request.headers))))
        and not any(name in _FORWARDED or name.startswith("x-forwarded") for name in request.headers)
    )


def open_outbox(request: Request) -> Outbox:
    outbox = mailbox_of(request).outbox
    if outbox is None or not is_open(request):
        raise HTTPException(404)
    return outbox


OpenOutbox = Annotated[Outbox, Depends(open_outbox)]
