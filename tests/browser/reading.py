"""What the browser tests ask a page: does it break a rule of axe, does it fit, what does it say."""

from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import BrowserContext, Page

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
