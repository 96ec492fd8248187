"""A reader follows the link in a mail: stops the letter, stops all mail, and undoes both."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.acceptance.servers import Program, eventually
from tests.browser.pages import Opener, arrived, drop_it_in_the_box, findings_through, page_and_checker, write

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WORDS = {
    "en": (
        "Stop this letter",
        "Receive it after all",
        "Stop all mail to this address",
        "Allow mail again",
    ),
    "ko": ("이 편지 그만 받기", "이 편지 다시 받기", "이 주소로 오는 메일 모두 그만 받기", "메일 다시 받기"),
}
LOOKS = [
    ("en", "light", 1280, False),
    ("ko", "dark", 360, True),
]


@pytest.mark.parametrize(("language", "scheme", "width", "scripts"), LOOKS)
async def test_a_reader_stops_and_resumes_the_letter_and_all_mail(
    program: Program, open_browser: Opener, language: str, scheme: str, width: int, scripts: bool
) -> None:
    stop, resume, block, unblock = WORDS[language]
    with program.uvicorn() as server:
        page, checker = await page_and_checker(
            open_browser, width=width, language=language, scheme=scheme, scripts=scripts
        )
        await page.goto(server.base)
        await write(page, recipient_email="sujin@example.org", body="Do you still walk before breakfast?")
        await drop_it_in_the_box(page)
        await page.goto(_link(program))
        assert await findings_through(checker, page) == []
        await _press(page, stop, then=resume, checker=checker)
        await _press(page, resume, then=stop, checker=checker)
        await _press(page, block, then=unblock, checker=checker)
        await expect(page.get_by_role("button", name=stop)).to_have_count(0)
        await _press(page, unblock, then=block, checker=checker)
        await page.get_by_role("button", name="한국어" if language == "en" else "English").click()
        await expect(page.locator("html")).to_have_attribute("lang", "ko" if language == "en" else "en")
        await expect(page.locator("main form")).to_have_count(2)
        assert program.audit()["by_status"] == program.audit()["by_status"] | {"sent": 1, "scheduled": 1}


@pytest.fixture
def program(sqlite_url: str, tmp_path: Path) -> Program:
    """The program with letters that arrive after 2 seconds, and again much later."""
    return Program(tmp_path, DATABASE_URL=sqlite_url, FIRST_DELAY="PT2S", SECOND_DELAY="P30D", SCAN_INTERVAL="PT1S")


def _link(program: Program) -> str:
    """Return the link in the footer of the mail that has arrived."""
    eventually(lambda: bool(arrived(program.folder)))
    (mail,) = arrived(program.folder)
    text = mail.get_body(("plain",))
    assert text
    return next(str(word) for word in text.get_content().split() if "/stop/" in word)


async def _press(page: Page, button: str, *, then: str, checker: Page) -> None:
    """Press a button of the page, and wait for the one that undoes it."""
    await page.get_by_role("button", name=button, exact=True).click()
    await expect(page.get_by_role("button", name=then, exact=True)).to_be_visible()
    assert await findings_through(checker, page) == []
