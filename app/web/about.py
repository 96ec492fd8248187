from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from app.domain.retry import GIVE_UP_AFTER
from app.domain.schedule import Delay
from app.web.language import Language, delay_words
from app.web.pages import CurrentServices, page

router = APIRouter(include_in_schema=False)


@router.get("/about", name="about")
async def show_about(request: Request, services: CurrentServices, language: Language) -> HTMLResponse:
    settings = services.settings
    answer = page(
        request,
        "pages/about.html",
        first=delay_words(settings.first_delay, language),
        second=delay_words(settings.second_delay, language),
        late=delay_words(Delay(elapsed=settings.max_lateness), language),
        patience=delay_words(Delay(elapsed=GIVE_UP_AFTER), language),
        keep=delay_words(Delay(elapsed=settings.retention), language),
        open=delay_words(Delay(elapsed=settings.edit_window), language) if settings.edit_window else "",
        resends=settings.on_uncertain == "resend",
        trying_out=settings.smtp is None,
    )
    answer.headers["X-Robots-Tag"] = "all"
    return answer
