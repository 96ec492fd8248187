"""A letter after posting, in Chromium: confirmation, address change, link recovery, keepsake; and wrong links."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from app.crypto import new_token
from tests.acceptance.servers import Program, eventually
from tests.browser.pages import (
    Opener,
    arrived,
    drop_it_in_the_box,
    findings,
    findings_through,
    ledger_of,
    page_and_checker,
    write,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WRITER = "jun@example.net"
LETTER = {
    "recipient_email": "sujni@example.org",
    "subject": "Low tide",
    "body": "Do you still walk before breakfast?",
    "sender_email": WRITER,
}
HEADINGS = {
    "en": (
        "Your letter is waiting for confirmation",
        "Send it to this address?",
        "Confirm the letter?",
        "The letter is confirmed",
        "Please check your mail",
        "Not available yet",
        "Page not found",
        "Stop all mail to this address?",
        "All mail to this address is stopped",
    ),
    "ko": (
        "편지가 확인을 기다리고 있어요",
        "이 주소로 보낼까요?",
        "편지를 확인할까요?",
        "편지를 확인했어요",
        "메일함을 확인해 주세요",
        "아직 볼 수 없어요",
        "페이지를 찾을 수 없어요",
        "이 주소로 오는 메일을 모두 그만 받을까요?",
        "이 주소로는 이제 아무것도 보내지 않아요",
    ),
}
LOOKS = [
    ("en", "light", 1280, True),
    ("ko", "dark", 360, False),
]


@pytest.fixture
def program(sqlite_url: str, tmp_path: Path) -> Program:
    """The program with confirmations, and arrivals after seconds."""
    return Program(
        tmp_path,
        DATABASE_URL=sqlite_url,
        CONFIRMATION="required",
        FIRST_DELAY="PT1S",
        SECOND_DELAY="PT2S",
        SCAN_INTERVAL="PT1S",
    )


@pytest.mark.parametrize(("language", "scheme", "width", "scripts"), LOOKS)
async def test_from_the_confirmation_to_the_keepsake(
    program: Program,
    open_browser: Opener,
    language: str,
    scheme: str,
    width: int,
    scripts: bool,
) -> None:
    waits, question, shall, confirmed, look, later, nothing, no_more, closed = HEADINGS[language]
    with program.uvicorn() as server:
        page, checker = await page_and_checker(
            open_browser, width=width, language=language, scheme=scheme, scripts=scripts
        )
        await page.goto(server.base)
        await write(page, **LETTER)
        await drop_it_in_the_box(page)
        letter = page.url
        await _shows(page, waits, checker)
        await _correct(page, question, checker)
        await page.goto(f"{letter}/keepsake")
        await _shows(page, later, checker)
        await page.goto(_link(program, "/confirm/"))
        await _shows(page, shall, checker)
        await page.click("main button")
        await _shows(page, confirmed, checker)
        await _ask_for_links(page, server.base, look, checker)
        eventually(lambda: _count(program, "sent") == 5)  # confirmation, receipt, links, and the letter twice
        await page.goto(_link(program, "/letters/"))
        assert page.url == letter
        assert await findings_through(checker, page) == []
        await _keep(page, checker)
        await page.goto(_link(program, "/quiet/"))
        for heading in (no_more, closed, no_more):
            await _shows(page, heading, checker)
            await page.click("main button")
        for path in ("/confirm", "/letters", "/stop", "/quiet"):
            await page.goto(f"{server.base}{path}/{new_token()}")
            await _shows(page, nothing, checker)
        assert program.audit()["adds_up"]


@pytest.mark.parametrize(("language", "words"), [("en", "This link has expired"), ("ko", "기한이 지난 링크예요")])
async def test_an_expired_link(program: Program, open_browser: Opener, language: str, words: str) -> None:
    with program.uvicorn() as server:
        page = await (await open_browser(language=language, width=360)).new_page()
        await page.goto(server.base)
        await write(page, **LETTER)
        await drop_it_in_the_box(page)
        letter, link = page.url, _link(program, "/confirm/")
        eventually(lambda: _count(program, "sent") == 1)
        with ledger_of(program.folder) as ledger:
            ledger.execute("UPDATE deliveries SET status_at = '2020-01-01 00:00:00+00:00' WHERE status <> 'claimed'")
        await page.goto(link)
        await _shows(page, words, page)
        eventually(lambda: _count(program, "cancelled") == 3)
        await page.goto(letter)
        assert await findings(page) == []


async def _correct(page: Page, question: str, checker: Page) -> None:
    await page.click("a[href$='/address']")
    await page.fill("#recipient_email", "a@b@c")
    await page.click("main button")
    await expect(page.locator("#recipient_email-error")).to_be_visible()
    await page.fill("#recipient_email", "sujin@example.org")
    await page.click("main button")
    await _shows(page, question, checker)
    await page.click("main button")
    await expect(page.locator(".address")).to_have_text("sujin@example.org")


async def _ask_for_links(page: Page, base: str, look: str, checker: Page) -> None:
    await page.goto(f"{base}/links")
    await page.fill("#sender_email", WRITER)
    await page.click("main button")
    await _shows(page, look, checker)


async def _keep(page: Page, checker: Page) -> None:
    await page.click("a[href$='/keepsake']")
    await _shows(page, LETTER["subject"], checker)
    await expect(page.locator(".written")).to_have_text(LETTER["body"])
    await expect(page.locator("#print")).to_be_visible(visible=checker is page)
    async with page.expect_download() as download:
        await page.click("a[href$='.eml']")
    assert (await download.value).suggested_filename.endswith(".eml")


def _count(program: Program, status: str) -> int:
    with ledger_of(program.folder) as ledger:
        (count,) = ledger.execute("SELECT COUNT(*) FROM deliveries WHERE status = ?", [status]).fetchone()
    return int(count)


async def _shows(page: Page, heading: str, checker: Page) -> None:
    await expect(page.locator("h1")).to_have_text(heading)
    assert await findings_through(checker, page) == []


def _link(program: Program, under: str) -> str:
    """Wait for a link of that kind in the mails to the writer, and return the newest."""

    def links() -> list[str]:
        texts = [mail.get_body(("plain",)) for mail in arrived(program.folder) if WRITER in str(mail["To"])]
        words = [word for text in texts if text for word in text.get_content().split()]
        return [str(word) for word in words if under in word]

    eventually(lambda: bool(links()))
    return links()[-1]
