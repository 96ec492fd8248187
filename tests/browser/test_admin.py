"""The admin pages in Chromium: signing in, lists, signing out, accessibility (W1)."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from app.crypto import Cipher
from app.domain.status import AttemptResult, Occasion, Status
from app.store.cipher import open_cipher
from app.store.database import connected
from app.web.admin.login_throttle import FREE_TRIES
from tests.acceptance.servers import Program
from tests.browser.pages import LOOKS, Opener, findings, follow
from tests.clock import NEW_YEAR as NOW
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

KEY, PASSWORD = "k" * 32, "correct horse battery"


@pytest.fixture(scope="module")
async def admin(folder: Path) -> AsyncIterator[str]:
    """The admin page's URL, with a delivery in every state and two pages of scheduled ones; sending is paused."""
    url = f"sqlite://{folder / 'mailbox.db'}"
    async with connected(url):
        await _fill(Ledger(await open_cipher(Cipher([KEY]))))
    program = Program(folder, DATABASE_URL=url, SECRET_KEY=KEY, ADMIN_PASSWORD=PASSWORD, PAUSED="on")
    with program.uvicorn() as server:
        yield f"{server.base}/admin"


async def _fill(ledger: Ledger) -> None:
    for hour, status in enumerate(Status):
        delivery = await ledger.add(status, NOW - timedelta(hours=hour), reader=f"{'r' * 50}@{'long-' * 8}name.example")
        if status in (Status.FAILED, Status.UNCERTAIN):
            await ledger.attempt(delivery, AttemptResult.PERMANENT, 550, "no-such-user-" * 30)
    for hour in range(60):
        await ledger.add(Status.SCHEDULED, NOW + timedelta(hours=hour), occasion=Occasion.SECOND)


async def sign_in(page: Page, password: str = PASSWORD) -> None:
    await page.fill("#username", "admin")
    await page.fill("#password", password)
    await follow(page, page.press("#password", "Enter"))


async def test_an_operator_reads_the_lists_without_a_script(open_browser: Opener, admin: str) -> None:
    page = await (await open_browser(scripts=False)).new_page()
    await page.goto(admin)
    await sign_in(page, "a wrong password")
    await expect(page.locator("#password-error")).to_contain_text("Wrong user name or password.")
    await expect(page.locator("#username")).to_have_value("admin")
    await sign_in(page)
    await expect(page).to_have_url(admin)
    await expect(page.locator("#stand")).to_contain_text("Running")
    await page.click("text=All upcoming deliveries")
    await expect(page.locator("tbody tr")).to_have_count(50)
    await page.click("text=Later →")
    await expect(page.locator("tbody tr")).to_have_count(14)
    await page.click("text=← Earlier")
    await page.click("text=Needs a decision")
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.click("tr:has-text('Failed') >> text=r…@long-long-")
    await expect(page.locator("h1")).to_contain_text("Letter, first time")
    await expect(page.locator(".attempts")).to_contain_text("no-such-user-")


@pytest.mark.parametrize(
    ("language", "wrong", "found"),
    [
        ("en", "This is not a Message-ID", "1 found · Failed · from Thu 1 Jan 2026, 00:00 on"),
        ("ko", "메시지 ID가 아닙니다", "찾은 발송 1건 · 실패 · 2026. 1. 1. (목) 00:00부터"),
    ],
)
async def test_an_operator_finds_a_delivery_without_a_script(
    open_browser: Opener, admin: str, language: str, wrong: str, found: str
) -> None:
    page = await (await open_browser(language=language, scripts=False)).new_page()
    await page.goto(admin)
    await sign_in(page)
    await page.goto(f"{admin}/deliveries")
    await page.click("summary")
    await page.check("input[name=state][value=failed]")
    await page.fill("#message_id", "nonsense")
    await page.press("#message_id", "Enter")
    await expect(page.locator("#message_id-error")).to_contain_text(wrong)
    await expect(page.locator("#message_id")).to_have_value("nonsense")
    await page.fill("#message_id", "")
    await page.fill("#since", "2026-01-01T00:00")
    await page.press("#since", "Enter")
    await expect(page.locator("#found")).to_contain_text(found)
    async with page.expect_download() as saved:
        await page.click('a[href^="/admin/deliveries.csv"]')
    assert (await saved.value).suggested_filename.startswith("deliveries-")


async def test_after_signing_out_the_back_button_shows_nothing(open_browser: Opener, admin: str) -> None:
    page = await (await open_browser()).new_page()
    await page.goto(f"{admin}/login")
    await sign_in(page)
    await page.click("text=Sign out")
    await expect(page).to_have_url(f"{admin}/login")
    await page.go_back()
    await expect(page).to_have_url(f"{admin}/login")
    assert "@" not in await page.inner_text("body")


async def test_the_language_is_switched_in_place(open_browser: Opener, admin: str) -> None:
    page = await (await open_browser()).new_page()
    await page.goto(admin)
    await sign_in(page)
    await page.click("text=한국어")
    await expect(page).to_have_url(admin)
    await expect(page.locator("html")).to_have_attribute("lang", "ko")
    await expect(page.locator("h1")).to_have_text("관리 화면")


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
async def test_the_admin_pages_are_accessible(
    open_browser: Opener, admin: str, language: str, scheme: str, width: int
) -> None:
    page = await (await open_browser(language=language, scheme=scheme, width=width)).new_page()
    found = {name: await findings(page) async for name in _visit_all(page, admin)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert len(found) == 9


async def _visit_all(page: Page, admin: str) -> AsyncIterator[str]:
    """Visit every page that an operator can see."""
    await page.goto(admin)
    yield "login"
    await sign_in(page, "a wrong password")
    yield "refused"
    await sign_in(page)
    yield "dashboard"
    for query in (
        "",
        "state=failed&state=held",
        "state=secret&since=never&to=nobody&message_id=x",
        "to=domain-" + "0" * 32,
    ):
        await page.goto(f"{admin}/deliveries?{query}")
        await page.evaluate("document.querySelector('details').open = true")
        yield query
    await page.goto(f"{admin}/deliveries?state=failed")
    await page.click("tbody a")
    yield "delivery"
    await page.click("form.sign-out button")
    for _ in range(FREE_TRIES + 1):  # a known browser: no other one is throttled
        await page.wait_for_url(re.compile("/admin/login$"))
        await sign_in(page, "a wrong password")
    await expect(page.get_by_role("alert")).to_be_visible()
    yield "has to wait"
