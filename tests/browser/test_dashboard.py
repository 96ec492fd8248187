"""The dashboard in Chromium: figures, charts, accessibility (W1)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from app.crypto import Cipher
from app.domain.status import AttemptResult, Status
from app.store.cipher import open_cipher
from app.store.counters import LATENESS, quarter_of
from app.store.database import connected
from app.store.models import Attempt, LedgerCounter
from tests.acceptance.servers import Program
from tests.browser.pages import LOOKS, Opener, findings
from tests.browser.test_admin import KEY, PASSWORD, sign_in
from tests.ledger import Ledger

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def dashboard(folder: Path) -> AsyncIterator[str]:
    """The dashboard's URL, with a month of deliveries sent on time and late, and a month of scheduled ones."""
    url = f"sqlite://{folder / 'mailbox.db'}"
    async with connected(url):
        await _fill(Ledger(await open_cipher(Cipher([KEY]))), datetime.now(UTC))
    program = Program(folder, DATABASE_URL=url, SECRET_KEY=KEY, ADMIN_PASSWORD=PASSWORD, PAUSED="on")
    with program.uvicorn() as server:
        yield f"{server.base}/admin"


async def _fill(ledger: Ledger, now: datetime) -> None:
    refused = await ledger.add(Status.FAILED, now - timedelta(minutes=5))
    await ledger.attempt(refused, AttemptResult.PERMANENT, 550, f"no such user {'x' * 100}")
    await Attempt.all().update(ended_at=now)
    rows = []
    for day in range(-30, 31):
        at = now + timedelta(days=day)
        kind, detail = ("waiting", "") if day > 0 else ("sent", str(LATENESS[day % len(LATENESS)]).removesuffix(".0"))
        rows.append(_counter(kind, detail, at, 1_234_567 if day == 3 else 100 + day))
        if day <= 0:
            rows.append(_counter("failed", "", at, 3))
            rows.append(_counter("accepted", "0.05", at, 100))
    await LedgerCounter.bulk_create(rows)


def _counter(kind: str, detail: str, at: datetime, number: int) -> LedgerCounter:
    values = {"quarter": quarter_of(at), "number": number, "milliseconds": 0, "part": 1}
    return LedgerCounter(kind=kind, notice=False, detail=detail, **values)


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS)
async def test_the_dashboard_is_accessible(
    open_browser: Opener, dashboard: str, language: str, scheme: str, width: int
) -> None:
    page = await (await open_browser(language=language, scheme=scheme, width=width)).new_page()
    await page.goto(dashboard)
    await sign_in(page)
    assert await findings(page) == []
    await page.click(".plot summary")
    await expect(page.locator(".plot details tbody tr")).to_have_count(31)
    assert await findings(page) == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Deliveries of each of the last 30 days", "at most 60 seconds", "later than that", "1.2M", "38 ms"]),
        ("ko", ["지난 30일의 날짜별 발송", "60초 이내", "그보다 늦음", "123.5만", "38ms"]),
    ],
)
async def test_every_chart_has_a_text(open_browser: Opener, dashboard: str, language: str, words: list[str]) -> None:
    page = await (await open_browser(language=language, scripts=False)).new_page()
    await page.goto(dashboard)
    await sign_in(page)
    text = await page.locator("main").text_content() or ""
    assert [word for word in words if word not in text.replace("\N{NO-BREAK SPACE}", " ")] == []
    await expect(page.locator("svg[role=img] rect.sent")).to_have_count(31)
    await expect(page.locator("svg[role=img] rect.failed")).to_have_count(31)
    await expect(page.locator(".calendar time")).to_have_count(31)
    await expect(page.locator('.calendar [data-shade="5"]')).to_have_count(1)
    await expect(page.locator(".late tr")).to_have_count(len(LATENESS))
    await expect(page.locator(".refusals li")).to_contain_text("550 4.2.1 no such user")


async def test_bars_start_at_the_bottom_and_stay_inside_the_chart(open_browser: Opener, dashboard: str) -> None:
    page = await (await open_browser()).new_page()
    await page.goto(dashboard)
    await sign_in(page)
    picture = await page.locator("svg[role=img]").bounding_box()
    assert picture
    bars = await page.locator("svg[role=img] rect.sent").all()
    boxes = [box for bar in bars if (box := await bar.bounding_box())]
    ground = picture["y"] + picture["height"]
    assert all(abs(box["y"] + box["height"] - ground) < 2 for box in boxes)
    assert all(box["y"] >= picture["y"] - 1 and box["width"] > 3 for box in boxes)
    assert await _is_coloured(page)


async def _is_coloured(page: Page) -> bool:
    """Return whether the stylesheet colours the chart; the CSP blocks inline styles."""
    colour = await page.locator("svg[role=img] rect.sent").first.evaluate("bar => getComputedStyle(bar).fill")
    return bool(colour == "rgb(47, 77, 126)")
