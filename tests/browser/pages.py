"""What the browser tests write, and ask a page: does it break a rule of axe, does it fit, what does it say."""

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
_SHELL, _WHOLE = Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium")
CHROMIUM = _SHELL if _SHELL.exists() else _WHOLE
"""Of the same source, the shell draws no window around a page: a new context costs it a quarter of the time."""
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
_RULES_OF_LOOKS = "axe.run({runOnly: ['color-contrast', 'target-size'], resultTypes: ['violations']})"
_IS_TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
_WIDTHS = (320, 360, 1280)

LOOKS = [("en", "light", 1280), ("ko", "dark", 360)]
"""In what to look at a page: every value of each once, for `findings` turns the page into the others by itself."""


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
    """Return what axe finds wrong, WCAG 2.2 AA and good habits alike, and where the page needs sideways scrolling.

    All rules are asked in the look that the page has; in the other scheme, at the other end of the
    widths, those whose answer a stylesheet can change.
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
            found += await _violations(page, _RULES_OF_LOOKS)
            await page.emulate_media(color_scheme="dark" if is_dark else "light")
    await page.set_viewport_size(size)
    return found


async def page_and_eye(
    open_browser: Opener, *, width: int, language: str, scheme: str, scripts: bool
) -> tuple[Page, Page]:
    """Return a page, and what `findings_through` looks with: the same page, unless no script runs there."""
    page = await (await open_browser(width=width, language=language, scheme=scheme, scripts=scripts)).new_page()
    if scripts:
        return page, page
    return page, await (await open_browser(width=width, language=language, scheme=scheme)).new_page()


async def findings_through(eye: Page, page: Page) -> list[str]:
    """Return the findings at a page's address: axe is a script, so that another window looks where none run."""
    if eye is not page:
        await eye.goto(page.url)
    return await findings(eye)


async def _violations(page: Page, question: str) -> list[str]:
    violations: list[dict[str, Any]] = (await page.evaluate(question))["violations"]
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
    """Do what leads to another page, and wait until it is there; the one that is left has been loaded long ago."""
    async with page.expect_navigation():
        await action


@contextlib.contextmanager
def ledger_of(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the ledger of a program that runs in `folder`; what is changed there stands once the block has ended."""
    with contextlib.closing(sqlite3.connect(folder / "mailbox.db", timeout=60)) as ledger, ledger:
        yield ledger


def arrived(folder: Path) -> list[EmailMessage]:
    """Return the mails in the outbox of a program that runs in `folder`."""
    return [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted((folder / "var" / "outbox").rglob("*.eml"))
    ]
