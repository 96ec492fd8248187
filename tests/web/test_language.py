"""English and Korean: by the browser's language and a switch."""

from datetime import timedelta

import httpx
import pytest

from app.domain.schedule import Delay
from app.web.language import delay_words, preferred, safe_return
from app.wiring import Services
from tests.web.requests import asking, posted


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("en-GB,en;q=0.9,ko;q=0.8", "en"),
        ("fr, ko;q=0.3", "ko"),
        ("en;q=0, ko;q=0.1", "ko"),
        ("*", "en"),
        ("*;q=0.5, en;q=0.1", "ko"),
        ("en;q=nan, ko", "ko"),
        ("en;q=9, ko;q=0.5", "ko"),
        ("한국어", "en"),
        (",,;;q=1," * 1000 + "ko", "en"),
    ],
)
def test_the_language_a_browser_likes_best(accepted: str, language: str) -> None:
    assert preferred(accepted) == language


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/letters/abc", "/letters/abc"),
        ("/admin/deliveries?show=coming", "/admin/deliveries?show=coming"),
        ("", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\tevil", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("evil.example", "/"),
    ],
)
def test_the_switch_leads_nowhere_else(target: str, path: str) -> None:
    assert safe_return(target) == path


@pytest.mark.parametrize(
    ("delay", "english", "korean"),
    [
        (Delay(days=7), "7 days", "7일"),
        (Delay(days=28), "28 days", "28일"),
        (Delay(elapsed=timedelta(seconds=5)), "5 seconds", "5초"),
        (Delay(elapsed=timedelta(hours=1)), "1 hour", "1시간"),
        (Delay(elapsed=timedelta(minutes=90)), "90 minutes", "90분"),
    ],
)
def test_delays_are_said_as_people_say_them(delay: Delay, english: str, korean: str) -> None:
    assert delay_words(delay, "en") == english
    assert delay_words(delay, "ko") == korean


@pytest.mark.anyio
async def test_pages_speak_the_browsers_language_and_say_so(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"Accept-Language": "ko-KR"})
    assert '<html lang="ko">' in page.text
    assert "천천히 도착하는 편지" in page.text
    assert "7일 뒤" in page.text
    assert page.headers["vary"] == "Accept-Language, Cookie"


@pytest.mark.anyio
async def test_the_switch_is_remembered_and_the_letter_speaks_that_language(client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", data={"language": "ko", "next": "/letters"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/letters")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    page = await client.get(f"/letters/{await posted(client)}", headers={"Accept-Language": "en"})
    assert '<html lang="ko">' in page.text
    assert "편지가 우체통에 들어갔어요" in page.text


@pytest.mark.anyio
async def test_an_unknown_language_is_not_remembered(client: httpx.AsyncClient) -> None:
    answer = await client.post("/language", data={"language": "../../x", "next": "//evil.example"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers


@pytest.mark.anyio
async def test_behind_tls_the_cookie_is_this_host_s_and_travels_by_tls_alone(services: Services) -> None:
    base = "https://letters.example.org"
    settings = services.settings.model_copy(update={"base_url": base})
    async with asking(services, base, settings=settings) as client:
        answer = await client.post("/language", data={"language": "ko"})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-language=ko;")
        assert "Secure" in cookie
        assert "Path=/;" in cookie
        assert "Domain" not in cookie
        assert '<html lang="ko">' in (await client.get("/")).text
