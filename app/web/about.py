"""What happens to a letter, said to whoever writes or gets one."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from app.domain.retry import GIVE_UP_AFTER
from app.domain.schedule import Delay
from app.web.language import Language, delay_words
from app.web.pages import OpenMailbox, page

router = APIRouter(include_in_schema=False)


@router.get("/about", name="about")
async def about(request: Request, mailbox: OpenMailbox, language: Language) -> HTMLResponse:
    settings = mailbox.settings
    answer = page(
        request,
        "pages/about.html",
        first=delay_words(settings.first_delay, language),
        second=delay_words(settings.second_delay, language),
        late=delay_words(Delay(elapsed=settings.catch_up_limit), language),
        patience=delay_words(Delay(elapsed=GIVE_UP_AFTER), language),
        keep=delay_words(Delay(elapsed=settings.keep), language),
        open=delay_words(Delay(elapsed=settings.sealing_period), language) if settings.sealing_period else "",
        resends=settings.on_uncertain == "resend",
        trying_out=settings.smtp is None,
    )
    answer.headers["X-Robots-Tag"] = "all"
    return answer
