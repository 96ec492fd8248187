"""What the browser tests write, and ask a page: does it break a rule of axe, does it fit, what does it say."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import BrowserContext, Page

BODY = "수진아,\n\n.\nFrom the sea 👨‍👩‍👧‍👦\n"
LETTER = {"recipient_email": "sujin@example.org", "recipient_name": "수진", "subject": "바다에서", "body": BODY}
CHROMIUM = Path("/usr/bin/chromium")
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
_RUN = "axe.run({rules: {'target-size': {enabled: true}}, resultTypes: ['violations']})"


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
    """Return what axe finds wrong, WCAG 2.2 AA and good habits alike, and whether the page needs sideways scrolling."""
    await page.evaluate(_AXE)
    violations: list[dict[str, Any]] = (await page.evaluate(_RUN))["violations"]
    found = [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in violations
        for node in violation["nodes"]
    ]
    if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append("it is wider than the window")
    return found


async def write(page: Page, **fields: str) -> None:
    """Fill fields of the form by name."""
    for name, text in fields.items():
        await page.fill(f"#{name}", text)


async def drop_it_in_the_box(page: Page) -> None:
    await page.click("#post")
    await page.wait_for_load_state()


def arrived(folder: Path) -> list[EmailMessage]:
    """Return the mails in the outbox of a program that runs in `folder`."""
    return [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted((folder / "var" / "outbox").rglob("*.eml"))
    ]
