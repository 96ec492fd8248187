"""Helpers of the browser tests: filling the form, checks by axe, the ledger and the outbox."""

import contextlib
import email
import email.policy
import sqlite3
from collections.abc import Coroutine, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import BrowserContext, Page

BODY = "수진아,\n\n.\nFrom the sea 👨‍👩‍👧‍👦\n"
LETTER = {"recipient_email": "sujin@example.org", "recipient_name": "수진", "subject": "바다에서", "body": BODY}
_SHELL, _FULL = Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium")
CHROMIUM = _SHELL if _SHELL.exists() else _FULL
"""The headless shell draws no window: a new context takes a quarter of the time."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
_ALL_RULES = "axe.run({rules: {'target-size': {enabled: true}}, resultTypes: ['violations']})"
_STYLE_RULES = "axe.run({runOnly: ['color-contrast', 'target-size'], resultTypes: ['violations']})"
_IS_TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
_WIDTHS = (320, 360, 1280)

LOOKS = [("en", "light", 1280), ("ko", "dark", 360)]
"""Language, scheme, width. Each value once: `findings` checks the others of a page too."""


class Opener(Protocol):
    async def __call__(
        self,
        *,
        width: int = ...,
        language: str = ...,
        scheme: str = ...,
        scripts: bool = ...,
        zone: str = ...,
    ) -> BrowserContext: ...


async def findings(page: Page) -> list[str]:
    """Return the violations found by axe (WCAG 2.2 AA and best practices), and widths with horizontal scrolling.

    All rules run in the scheme and width of the page; those that depend on the stylesheet run
    again in the other scheme at the other width.
    """
    await page.evaluate(_AXE)
    found = await _violations(page, _ALL_RULES)
    size = page.viewport_size
    assert size
    is_dark = await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for width in _WIDTHS:
        await page.set_viewport_size({"width": width, "height": size["height"]})
        if await page.evaluate(_IS_TOO_WIDE):
            found.append(f"it is wider than a window of {width} px")
        if width == (360 if size["width"] == 1280 else 1280):
            await page.emulate_media(color_scheme="light" if is_dark else "dark")
            found += await _violations(page, _STYLE_RULES)
            await page.emulate_media(color_scheme="dark" if is_dark else "light")
    await page.set_viewport_size(size)
    return found


async def page_and_checker(
    open_browser: Opener, *, width: int, language: str, scheme: str, scripts: bool
) -> tuple[Page, Page]:
    """Return a page, and the page in which `findings_through` runs axe: another one if the page runs no scripts."""
    page = await (await open_browser(width=width, language=language, scheme=scheme, scripts=scripts)).new_page()
    if scripts:
        return page, page
    return page, await (await open_browser(width=width, language=language, scheme=scheme)).new_page()


async def findings_through(checker: Page, page: Page) -> list[str]:
    """Return the findings at the URL of a page."""
    if checker is not page:
        await checker.goto(page.url)
    return await findings(checker)


async def _violations(page: Page, script: str) -> list[str]:
    violations: list[dict[str, Any]] = (await page.evaluate(script))["violations"]
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in violations
        for node in violation["nodes"]
    ]


async def write(page: Page, **fields: str) -> None:
    """Fill fields of the form by name."""
    for name, text in fields.items():
        await page.fill(f"#{name}", text)


async def drop_it_in_the_box(page: Page) -> None:
    await follow(page, page.click("#post"))


async def follow(page: Page, action: Coroutine[Any, Any, None]) -> None:
    """Run an action that navigates, and wait for the new page."""
    async with page.expect_navigation():
        await action


@contextlib.contextmanager
def ledger_of(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the ledger of a program that runs in `folder`; changes are committed at the end of the block."""
    with contextlib.closing(sqlite3.connect(folder / "mailbox.db", timeout=60)) as ledger, ledger:
        yield ledger


def arrived(folder: Path) -> list[EmailMessage]:
    """Return the mails in the outbox of a program that runs in `folder`."""
    return [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted((folder / "var" / "outbox").rglob("*.eml"))
    ]
