"""No axe violations and no horizontal scrolling on any page in any error state (W1)."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from tests.browser.pages import LOOKS, Opener, drop_it_in_the_box, findings, follow, write

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
async def test_every_page_is_accessible(
    open_browser: Opener, base: str, language: str, scheme: str, width: int
) -> None:
    page = await (await open_browser(language=language, scheme=scheme, width=width)).new_page()
    found = {name: await findings(page) async for name in visit_all(page, base)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert len(found) == 22


async def visit_all(page: Page, base: str) -> AsyncIterator[str]:
    """Visit every page and error state that a writer can see on the day of writing.

    What comes later is looked at in `test_later_life` and `test_readers`.
    """
    async for name in _write_and_post(page, base):
        yield name
    letter = page.url
    async for name in _correct(page):
        yield name
    for question, answered in (("withdraw", "cancelled"), ("erase", "erased")):
        await page.goto(f"{letter}/{question}")
        yield question
        await follow(page, page.click("main button"))
        yield answered
    for path, name in _OTHERS.items():
        await page.goto(f"{base}{path}")
        yield name
    await page.goto(f"{base}/links")
    yield "links"
    for address, answered in (("a@b@c", "errors of links"), ("jun@example.net", "asked")):
        await write(page, sender_email=address)
        await follow(page, page.click("main button"))
        yield answered


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


async def _correct(page: Page) -> AsyncIterator[str]:
    await page.goto(f"{page.url}/address")
    yield "address"
    for address, answered in (("a@b@c", "errors of an address"), ("b" * 60 + "@example.org", "another address")):
        await write(page, recipient_email=address)
        await follow(page, page.click("main button"))
        yield answered


async def test_dark_pages_are_printed_light(open_browser: Opener, base: str) -> None:
    page = await (await open_browser(scheme="dark")).new_page()
    await page.goto(base)
    colour = "getComputedStyle(document.querySelector('h1')).color"
    assert await page.evaluate(colour) == "rgb(236, 228, 214)"
    await page.emulate_media(media="print")
    assert await page.evaluate(colour) == "rgb(0, 0, 0)"
    red = "getComputedStyle(document.documentElement).getPropertyValue('--red')"
    assert await page.evaluate(red) == "#ad2a1f"
