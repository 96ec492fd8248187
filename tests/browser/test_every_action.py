"""Each action in Chromium without scripts, in both languages: on one, some and all matching deliveries."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from app.crypto import Cipher
from app.domain.status import Action, Status
from app.store.accounts import create_account
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.models import Delivery, Letter
from app.templating import LANGUAGES, environment
from tests.acceptance.servers import Program
from tests.browser.conftest import opener
from tests.browser.pages import ledger_of
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio

KEY, PASSWORD = "k" * 32, "correct horse battery"
LATER = datetime.now(UTC) + timedelta(days=3)
ONE, SOME, ALL = 1, 2, 3


def _begin(action: Action) -> Status:
    """Return a state from which the action is allowed."""
    return next(status for status in Status if status in action.begins_at)


def _domain(language: str, action: Action) -> str:
    """Return the HMAC of the domain reserved for an action in a language."""
    return f"{LANGUAGES.index(language) * 16 + list(Action).index(action):032x}"


def _list(language: str, action: Action) -> str:
    """Return the URL of those deliveries on which the action has not run yet."""
    since = LATER - timedelta(days=1)
    return f"deliveries?state={_begin(action)}&since={since:%Y-%m-%d}&to=domain-{_domain(language, action)}"


@pytest.fixture(scope="module")
async def admin(folder: Path) -> AsyncIterator[str]:
    """The admin page's URL, with six deliveries at a reserved domain for each action and language."""
    url = f"sqlite://{folder / 'mailbox.db'}"
    async with connected(url):
        ledger = Ledger(await open_cipher(Cipher([KEY])))
        for language, action in product(LANGUAGES, Action):
            ids = [(await ledger.add(_begin(action), LATER)).id for _ in range(ONE + SOME + ALL)]
            await Delivery.filter(id__in=ids).update(domain_hmac=_domain(language, action))
        await Letter.all().update(sender_hmac=None)  # or they would exceed the writer's quota
        await create_account("admin", PASSWORD, datetime.now(UTC))
    with Program(folder, DATABASE_URL=url, SECRET_KEY=KEY, PAUSED="on").uvicorn() as server:
        yield f"{server.base}/admin"


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
async def page(browser: Browser, admin: str, language: str) -> AsyncIterator[Page]:
    """A page with a signed-in operator."""
    async with opener(browser) as opened:
        page = await (await opened(language=language, scripts=False)).new_page()
        await page.goto(f"{admin}/login")
        await page.fill("#username", "admin")
        await page.fill("#password", PASSWORD)
        await page.press("#password", "Enter")
        await expect(page).to_have_url(admin)
        yield page


def _states(folder: Path, language: str, action: Action) -> list[tuple[str, int]]:
    """Return the number of these deliveries by state."""
    question = "SELECT status, COUNT(*) FROM deliveries WHERE domain_hmac = ? GROUP BY status"
    with ledger_of(folder) as ledger:
        return ledger.execute(question, [_domain(language, action)]).fetchall()


async def _ask_for_one(page: Page, action: Action) -> None:
    await page.locator("td.recipient a").first.click()
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
async def test_an_action_is_confirmed_and_applied_to_one_some_and_all(
    page: Page, admin: str, folder: Path, language: str, action: Action
) -> None:
    label = environment(language).get_template("admin/action_names.html").module.action_names[action]  # type: ignore[attr-defined]
    for number, ask in ((ONE, _ask_for_one), (SOME, _ask_for_some), (ALL, _ask_for_all)):
        await page.goto(f"{admin}/{_list(language, action)}")
        await ask(page, action)
        await expect(page.locator("h1")).to_have_text(f"{label}?")
        await expect(page.locator(".lead")).to_contain_text(str(number))
        await page.click("form.actions .button")
        await page.wait_for_url(re.compile("/admin/actions/[0-9a-f-]{36}$"))
        await expect(page.locator(".lead")).to_contain_text(str(number))
    assert _states(folder, language, action) == [(action.ends_at, ONE + SOME + ALL)]


async def test_an_address_is_corrected_and_a_list_is_downloaded(page: Page, admin: str, language: str) -> None:
    delivery = 1 + LANGUAGES.index(language)
    await page.goto(f"{admin}/deliveries/{delivery}")
    await page.click(f'a[href="/admin/deliveries/{delivery}/address"]')
    await page.fill("#recipient_email", "sujin@example.com")
    await page.click("main .button")
    await expect(page.locator("dl.facts").first).to_contain_text("s…@example.com")
    await page.goto(f"{admin}/deliveries")
    async with page.expect_download() as saved:
        await page.click('a[href^="/admin/deliveries.csv"]')
    deliveries = len(LANGUAGES) * len(Action) * (ONE + SOME + ALL)
    assert (await (await saved.value).path()).read_text().count("\n") == deliveries + 1
