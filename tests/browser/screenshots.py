"""Take the screenshots of the README: `python -m tests.browser.screenshots`."""

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from tests.acceptance.servers import Program
from tests.browser.pages import ARGUMENTS, CHROMIUM, drop_it_in_the_box, write

FOLDER = Path(__file__).parent / "screenshots"
LETTERS = {
    "en": {
        "recipient_email": "sujin@example.org",
        "recipient_name": "Sujin",
        "subject": "From the sea",
        "body": "Dear Sujin,\n\nthe wind is strong here today, and the letter box by the pier is red.\n"
        "When you read this it will be another season.\n\nDo you still walk before breakfast?",
        "sender_name": "Jun",
    },
    "ko": {
        "recipient_email": "sujin@example.org",
        "recipient_name": "수진",
        "subject": "바다에서",
        "body": "수진아,\n\n오늘 여기는 바람이 많이 불고, 방파제 옆 우체통은 빨개.\n"
        "네가 이 편지를 읽을 때는 다른 계절이겠지.\n\n요즘도 아침마다 걷니?",
        "sender_name": "준",
    },
}


async def screenshot(browser: Browser, base: str, language: str, scheme: str, width: int) -> None:
    """Take screenshots of the filled form, the mail and the letter's page."""
    context = await browser.new_context(
        viewport={"width": width, "height": 800},
        locale={"en": "en-GB", "ko": "ko-KR"}[language],
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id="Asia/Seoul",
    )
    page = await context.new_page()
    await page.goto(base)
    await write(page, **LETTERS[language])
    await page.locator("#saved").wait_for()
    await page.evaluate("document.activeElement.blur()")
    await page.screenshot(path=FOLDER / f"form-{language}-{scheme}-{width}.png", full_page=True)
    await screenshot_mail(page, FOLDER / f"mail-{language}-{scheme}-640.png")
    await drop_it_in_the_box(page)
    await page.screenshot(path=FOLDER / f"letter-{language}-{scheme}-{width}.png", full_page=True)
    await context.close()


async def screenshot_mail(page: Page, path: Path) -> None:
    """Take a screenshot of the mail from the preview, in the width of a mail program's reading pane."""
    await page.click("[formaction='/letters/look']")
    html = await page.locator("iframe").get_attribute("srcdoc")
    mail = await page.context.new_page()
    await mail.set_viewport_size({"width": 640, "height": 400})
    await mail.set_content(html or "")
    await mail.screenshot(path=path, full_page=True)
    await mail.close()


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        program = Program(Path(folder))
        program.run("migrate").check_returncode()
        with program.serve() as server:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                await screenshot(browser, server.base, "en", "light", 1000)
                await screenshot(browser, server.base, "ko", "dark", 390)
                await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
