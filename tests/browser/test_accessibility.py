"""axe finds nothing, and nothing needs sideways scrolling, on any page and in any error state (W1)."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from tests.browser.reading import LOOKS, Opener, drop_it_in_the_box, findings, follow, write

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
async def test_every_page_is_for_everybody(
    open_browser: Opener, base: str, language: str, scheme: str, width: int
) -> None:
    page = await (await open_browser(language=language, scheme=scheme, width=width)).new_page()
    found = {name: await findings(page) async for name in visit_all(page, base)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert len(found) == 14


async def visit_all(page: Page, base: str) -> AsyncIterator[str]:
    """Lead a page through every state that a writer may see."""
    async for name in _write_and_post(page, base):
        yield name
    await page.goto(f"{page.url}/withdraw")
    yield "withdraw"
    await follow(page, page.click("main button"))
    yield "cancelled"
    for path, name in _OTHERS.items():
        await page.goto(f"{base}{path}")
        yield name


_OTHERS = {
    "/letters/nothing/withdraw": "not found",
    "/language": "not allowed",
    "/outbox": "outbox",
    "/about": "about",
}


async def _write_and_post(page: Page, base: str) -> AsyncIterator[str]:
    await page.goto(base)
    yield "form"
    await write(page, recipient_email="a@b@c", sender_email="준@example.org", subject="s" * 300, body="\n")
    await drop_it_in_the_box(page)
    yield "errors"
    await write(page, recipient_email="a" * 60 + "@example.org", sender_email="", subject="w" * 150, body="x" * 500)
    await page.click("label[for=first_arrival-date]")
    yield "filled"
    await page.click("label[for=first_arrival-P100D]")
    await drop_it_in_the_box(page)
    yield "wrong days"
    await page.click("label[for=second_arrival-none]")
    await follow(page, page.click("[formaction='/letters/look']"))
    yield "look"
    await drop_it_in_the_box(page)
    yield "letter"
    letter = page.url
    await follow(page, page.click(".still-open .button"))
    yield "change"
    await write(page, subject="s" * 300)
    await drop_it_in_the_box(page)
    yield "errors of a change"
    await page.goto(letter)
