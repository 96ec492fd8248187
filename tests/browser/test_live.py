"""Live updates of the list in Chromium."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import expect

from app.crypto import Cipher
from app.domain.status import Status
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.job_runs import SCAN, record_job_end, record_job_start
from app.store.models import Delivery
from app.store.workers import SCHEDULER, acquire_lease, register
from tests.acceptance.servers import Program
from tests.browser.pages import Opener, findings
from tests.browser.test_admin import KEY, PASSWORD, sign_in
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio


@pytest.fixture
async def deliveries(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[str]:
    """The list's URL, with a ledger in which the scan of another host has started three letters.

    The test moves them: the lease is that host's for an hour, so the program itself never scans.
    """
    shutil.copyfile(sqlite_template, tmp_path / "mailbox.db")
    url = f"sqlite://{tmp_path / 'mailbox.db'}"
    program = Program(tmp_path, DATABASE_URL=url, SECRET_KEY=KEY, ADMIN_PASSWORD=PASSWORD, LEASE="PT1H")
    async with connected(url):
        ledger, now, elsewhere = Ledger(await open_cipher(Cipher([KEY]))), datetime.now(UTC), uuid4()
        await register(elsewhere, "elsewhere", now)
        assert await acquire_lease(SCHEDULER, elsewhere, now)
        for second in range(3):
            await ledger.add(Status.SCHEDULED, now - timedelta(seconds=9 - second))
        await record_job_start(SCAN, "elsewhere", now, now + timedelta(minutes=5))
        with program.uvicorn() as server:
            yield f"{server.base}/admin/deliveries"


async def _send(number: int) -> None:
    due = await Delivery.filter(status=Status.SCHEDULED).order_by("id").limit(number).values_list("id", flat=True)
    now = datetime.now(UTC)
    await Delivery.filter(id__in=due).update(status=Status.SENT, status_at=now, sent_at=now)


async def test_the_list_updates_while_a_scan_runs_and_stops_at_its_end(open_browser: Opener, deliveries: str) -> None:
    page = await (await open_browser()).new_page()
    await page.goto(deliveries)
    await sign_in(page)
    await page.goto(deliveries)
    await expect(page.locator("#moving")).to_contain_text("0 of 3 sent since")
    await expect(page.get_by_role("status")).to_have_text("Letters are being sent.")
    assert await findings(page) == []
    await _send(2)
    await expect(page.locator("progress")).to_have_js_property("value", 2)
    await expect(page.locator("[data-state=sent]")).to_have_count(2)
    await page.focus("tbody a")  # focused rows are not replaced; the bar is
    await _send(1)
    await record_job_end(SCAN, datetime.now(UTC), timedelta(seconds=5), 3)
    await expect(page.locator("#moving")).to_be_empty()
    await expect(page.get_by_role("status")).to_be_empty()
    await expect(page.locator("[data-state=sent]")).to_have_count(2)
    await expect(page.locator("#moving")).to_have_attribute("data-refresh", "")


async def test_without_scripts_a_link_refreshes(open_browser: Opener, deliveries: str) -> None:
    page = await (await open_browser(language="ko", scripts=False)).new_page()
    await page.goto(deliveries)
    await sign_in(page)
    await page.goto(deliveries)
    await _send(1)
    await page.click("noscript a")  # Playwright finds no text in noscript
    await expect(page.locator("progress")).to_have_js_property("value", 1)
    await expect(page.locator("#moving")).to_contain_text("3건 가운데 1건을 보냈습니다")
