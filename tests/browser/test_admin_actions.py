"""Actions in Chromium, in both languages: on one, some and all deliveries; pausing; the second factor."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from playwright.async_api import Page, expect

from app.crypto import Cipher
from app.domain.status import Occasion, Status
from app.store.accounts import create_account
from app.store.cipher import open_cipher
from app.store.database import connected
from tests.acceptance.servers import Program
from tests.browser.pages import Opener, findings, follow
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

KEY, PASSWORD = "k" * 32, "correct horse battery"
LATER = datetime.now(UTC) + timedelta(days=3)
HELD, MANY = 6, 1200
WORDS = {
    "en": {
        "release": "Release",
        "chosen": "Apply to the selected",
        "pause": "All sending is paused.",
        "done": "Done: ",
        "none": "No deliveries found.",
    },
    "ko": {
        "release": "보류 풀기",
        "chosen": "선택한 것에 적용",
        "pause": "모든 발송을 멈춰 두었습니다.",
        "done": "끝났습니다.",
        "none": "해당하는 발송이 없습니다.",
    },
}


@pytest.fixture(scope="module")
async def admin(folder: Path) -> AsyncIterator[str]:
    """The admin page's URL, with some held and many scheduled deliveries, and an account for each test."""
    url = f"sqlite://{folder / 'mailbox.db'}"
    async with connected(url):
        ledger = Ledger(await open_cipher(Cipher([KEY])))
        for _ in range(HELD):
            await ledger.add(Status.HELD, LATER)
        await ledger.multiply(await ledger.add(Status.SCHEDULED, LATER, occasion=Occasion.SECOND), MANY - 1)
        for name in ("admin", "jihye", "minsu"):
            await create_account(name, PASSWORD, LATER - timedelta(days=3))
    with Program(folder, DATABASE_URL=url, SECRET_KEY=KEY).uvicorn() as server:
        yield f"{server.base}/admin"


async def _sign_in(page: Page, admin: str, username: str = "admin") -> None:
    await page.goto(f"{admin}/login")
    await page.fill("#username", username)
    await page.fill("#password", PASSWORD)
    await follow(page, page.press("#password", "Enter"))


@pytest.mark.parametrize(("language", "scripts"), [("en", False), ("ko", True)])
async def test_one_and_some_are_released(open_browser: Opener, admin: str, language: str, scripts: bool) -> None:
    page = await (await open_browser(language=language, scripts=scripts)).new_page()
    words = WORDS[language]
    await _sign_in(page, admin)
    await page.goto(f"{admin}/deliveries?state=held")
    await page.locator("td.recipient a").first.click()
    await page.click(f"text={words['release']}")
    await page.click("form.actions .button")
    await expect(page.locator(".lead")).to_contain_text("1")
    await page.goto(f"{admin}/deliveries?state=held")
    for number in range(2):
        await page.locator("input.pick").nth(number).check()
    await page.select_option("#action", "release")
    await page.click(f"text={words['chosen']}")
    await expect(page.locator(".lead")).to_contain_text("2")
    await page.click("form.actions .button")
    await expect(page.locator(".lead")).to_contain_text("2")
    await page.goto(f"{admin}/trail")
    await expect(page.locator(".log li").first).to_contain_text(words["release"])


async def test_a_bulk_action_shows_its_progress_until_it_ends(open_browser: Opener, admin: str) -> None:
    for language, action, state in (("en", "hold", "scheduled"), ("ko", "release", "held")):
        page, words = await (await open_browser(language=language)).new_page(), WORDS[language]
        meant = f"{admin}/deliveries?state={state}&occasion=second"
        await _sign_in(page, admin)
        await page.goto(meant)
        await page.select_option("#action", action)
        await page.click("button[value=all]")
        await expect(page.locator(".lead")).to_contain_text("1,200")
        await page.click("form.actions .button")
        await expect(page.locator(".lead")).to_contain_text(words["done"])
        assert await findings(page) == []
        await page.reload()
        await expect(page.locator(".lead")).to_contain_text("1,200")
        await page.goto(meant)
        await expect(page.locator("main")).to_contain_text(words["none"])


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_sending_is_paused_and_resumed(open_browser: Opener, admin: str, language: str) -> None:
    page = await (await open_browser(language=language, scripts=False)).new_page()
    await _sign_in(page, admin)
    await page.goto(f"{admin}/sending")
    await page.click("main .button")
    await expect(page.locator(".paused")).to_contain_text(WORDS[language]["pause"])
    await page.goto(f"{admin}/deliveries")
    await expect(page.locator(".paused")).to_contain_text(WORDS[language]["pause"])
    await page.click(".paused .button")
    await expect(page.locator(".paused")).to_have_count(0)


@pytest.mark.parametrize(("language", "username"), [("en", "jihye"), ("ko", "minsu")])
async def test_a_second_factor_is_set_up_and_asked_for(
    open_browser: Opener, admin: str, language: str, username: str
) -> None:
    page = await (await open_browser(language=language)).new_page()
    await _sign_in(page, admin, username)
    await page.goto(f"{admin}/account/second-factor")
    asked = await findings(page)
    await page.fill("#password", PASSWORD)
    await page.press("#password", "Enter")
    totp = pyotp.TOTP((await page.inner_text(".literal")).replace(" ", ""))
    await page.fill("#code", totp.now())
    await page.press("#code", "Enter")
    await expect(page.locator(".codes li")).to_have_count(10)
    found = asked + await findings(page)
    recovery = await page.locator(".codes li").first.inner_text()
    await page.click("form.sign-out button")
    await _sign_in(page, admin, username)
    await expect(page).to_have_url(f"{admin}/login/code")
    await page.fill("#code", "000000")
    await page.press("#code", "Enter")
    await expect(page.locator("#code-error")).to_be_visible()
    assert found + await findings(page) == []
    await page.fill("#code", recovery)
    await page.press("#code", "Enter")
    await expect(page).to_have_url(admin)


@pytest.mark.parametrize(("language", "scheme", "width"), [("en", "light", 1280), ("ko", "dark", 360)])
async def test_the_pages_of_actions_are_accessible(
    open_browser: Opener, admin: str, language: str, scheme: str, width: int
) -> None:
    page = await (await open_browser(language=language, scheme=scheme, width=width)).new_page()
    await _sign_in(page, admin)
    found = {}
    for path in (
        "deliveries?state=held",
        "actions/ask?action=release&meant=all&state=held",
        "actions/ask?action=release",
        "deliveries/1",
        "deliveries/1/address",
        "trail",
        "sending",
        "account",
        "account/second-factor",
    ):
        await page.goto(f"{admin}/{path}")
        found[path] = await findings(page)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
