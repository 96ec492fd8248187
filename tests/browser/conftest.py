"""A real Chromium in front of the real program."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.acceptance.servers import Program
from tests.browser.pages import ARGUMENTS, CHROMIUM, Opener

PATIENCE = 60_000  # milliseconds; the machine may be busy
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium: apt-get install chromium-headless-shell")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=ARGUMENTS,
        )
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def opener(browser: Browser) -> AsyncIterator[Opener]:
    """Yield a function that opens browser contexts; they are closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(
            *,
            width: int = 1280,
            language: str = "en",
            scheme: str = "light",
            scripts: bool = True,
            zone: str = "Asia/Seoul",
        ) -> BrowserContext:
            context = await browser.new_context(
                viewport={"width": width, "height": 800},
                locale={"en": "en-GB", "ko": "ko-KR"}[language],
                color_scheme="dark" if scheme == "dark" else "light",
                java_script_enabled=scripts,
                timezone_id=zone,
            )
            context.set_default_timeout(PATIENCE)
            stack.push_async_callback(context.close)
            return context

        yield opened


@pytest.fixture
async def open_browser(browser: Browser) -> AsyncIterator[Opener]:
    async with opener(browser) as opened:
        yield opened


@pytest.fixture
def quick_program(sqlite_url: str, tmp_path: Path) -> Program:
    """The program with a scan each second, and an outbox in its folder."""
    return Program(tmp_path, DATABASE_URL=sqlite_url, SCAN_INTERVAL="PT1S")


@pytest.fixture(scope="module")
def folder(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for one program of a module's own, with an empty ledger in `mailbox.db`."""
    folder = tmp_path_factory.mktemp("program")
    shutil.copyfile(sqlite_template, folder / "mailbox.db")
    return folder


@pytest.fixture(scope="module")
def base(folder: Path) -> Iterator[str]:
    """The address of a program with the usual settings, shared by the tests of a module."""
    with Program(folder, DATABASE_URL=f"sqlite://{folder / 'mailbox.db'}").uvicorn() as server:
        yield server.base
