"""Each of an operator's actions in Chromium, without a script: on one, on some, on all that match.

English and Korean take turns, so that each meets every action and every number of deliveries.
"""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from app.domain.actions import Action
from app.domain.status import Status
from app.rendering import LANGUAGES, environment
from app.sealing import Sealer
from app.store.accounts import create_account
from app.store.database import connected
from app.store.models import Delivery, Letter
from app.store.vault import open_vault
from tests.acceptance.servers import Program
from tests.browser.reading import Opener
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

KEY, PASSWORD = "k" * 32, "correct horse battery"
LATER = datetime.now(UTC) + timedelta(days=3)
ONE, SOME, ALL = 1, 2, 3


def _begin(action: Action) -> Status:
    """Return one state that an action leads on from."""
    return next(status for status in Status if status in action.begins_at)


def _list(action: Action) -> str:
    """Return the list of the deliveries that are kept for an action, those it has not moved yet."""
    domain = f"{list(Action).index(action):032x}"
    return f"deliveries?state={_begin(action)}&since={LATER - timedelta(days=1):%Y-%m-%d}&to=domain-{domain}"


@pytest.fixture(scope="module")
async def admin(folder: Path) -> AsyncIterator[str]:
    """The admin page's address: for each action six deliveries, at a domain of their own."""
    url = f"sqlite://{folder / 'mailbox.db'}"
    async with connected(url):
        ledger = Ledger(await open_vault(Sealer([KEY])))
        for number, action in enumerate(Action):
            ids = [(await ledger.add(_begin(action), LATER)).id for _ in range(ONE + SOME + ALL)]
            await Delivery.filter(id__in=ids).update(domain_mac=f"{number:032x}")
        await Letter.all().update(sender_mac=None)  # of one writer they would be too many for a day
        await create_account("admin", PASSWORD, datetime.now(UTC))
    with Program(folder, DATABASE_URL=url, SECRET_KEY=KEY, PAUSED="on").uvicorn() as server:
        yield f"{server.base}/admin"


@pytest.fixture
async def pages(open_browser: Opener, admin: str) -> list[Page]:
    """An operator's page in each language."""
    signed_in = []
    for language in LANGUAGES:
        page = await (await open_browser(language=language, scripts=False)).new_page()
        await page.goto(f"{admin}/login")
        await page.fill("#username", "admin")
        await page.fill("#password", PASSWORD)
        await page.press("#password", "Enter")
        await expect(page).to_have_url(admin)
        signed_in.append(page)
    return signed_in


async def _ask_for_one(page: Page, action: Action) -> None:
    await page.locator("td.whom a").first.click()
    await page.click(f'a[href^="/admin/actions/ask?action={action}&"]')


async def _ask_for_some(page: Page, action: Action) -> None:
    for number in range(SOME):
        await page.locator("input.pick").nth(number).check()
    await page.select_option("#action", action)
    await page.click('button[value="chosen"]')


async def _ask_for_all(page: Page, action: Action) -> None:
    await page.select_option("#action", action)
    await page.click('button[value="all"]')


@pytest.mark.parametrize("action", list(Action))
async def test_it_is_asked_then_done_to_one_to_some_and_to_all(pages: list[Page], admin: str, action: Action) -> None:
    turn = list(Action).index(action)
    for number, ask in ((ONE, _ask_for_one), (SOME, _ask_for_some), (ALL, _ask_for_all)):
        turn += 1
        page, language = pages[turn % 2], LANGUAGES[turn % 2]
        await page.goto(f"{admin}/{_list(action)}")
        await ask(page, action)
        deeds = environment(language).get_template("admin/deeds.html").module.deeds  # type: ignore[attr-defined]
        await expect(page.locator("h1")).to_have_text(f"{deeds[action]}?")
        await expect(page.locator(".lead")).to_contain_text(str(number))
        await page.click("form.actions .button")
        await page.wait_for_url(re.compile("/admin/actions/[0-9a-f-]{36}$"))
        await expect(page.locator(".lead")).to_contain_text(str(number))
    await page.goto(f"{admin}/{_list(action)}")
    await expect(page.locator("td.whom")).to_have_count(0)
    await page.goto(f"{admin}/trail")
    await expect(page.locator(".trail li").first).to_contain_text(deeds[action])


async def test_an_address_is_corrected_and_a_list_is_saved(pages: list[Page], admin: str) -> None:
    for page, delivery in zip(pages, (1, 2), strict=True):
        await page.goto(f"{admin}/deliveries/{delivery}")
        await page.click(f'a[href="/admin/deliveries/{delivery}/address"]')
        await page.fill("#recipient_email", "sujin@example.com")
        await page.click("main .button")
        await expect(page.locator("dl.facts").first).to_contain_text("s…@example.com")
        await page.goto(f"{admin}/deliveries")
        async with page.expect_download() as saved:
            await page.click('a[href^="/admin/deliveries.csv"]')
        assert (await (await saved.value).path()).read_text().count("\n") == len(Action) * (ONE + SOME + ALL) + 1
