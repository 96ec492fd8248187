"""The days of arrival in the form."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from tests.browser.pages import LETTER, Opener, drop_it_in_the_box, write
from tests.unit.test_schedule import CHANGES

pytestmark = pytest.mark.anyio


async def test_the_clocks_are_the_browsers(open_browser: Opener, base: str) -> None:
    page = await (await open_browser(zone="Pacific/Apia")).new_page()
    await page.clock.install(time="2026-01-01T09:30:00Z")
    await page.goto(base)
    await expect(page.locator("#timezone")).to_have_value("Pacific/Apia")
    times = page.locator(".arrivals time:visible")
    await expect(times).to_have_text(["Thursday, 8 January 2026, 22:30", "Saturday, 31 January 2026, 22:30"])
    await page.select_option("#timezone", "Asia/Seoul")
    await expect(times).to_have_text(["Thursday, 8 January 2026, 18:30", "Saturday, 31 January 2026, 18:30"])


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_script_and_server_write_dates_alike(open_browser: Opener, base: str, language: str) -> None:
    said = []
    for scripts in (True, False):
        page = await (await open_browser(language=language, scripts=scripts, zone="UTC")).new_page()
        await page.goto(base)
        said.append(
            [re.sub(r"\d\d:\d\d$", "", text) for text in await page.locator(".arrivals time:visible").all_inner_texts()]
        )
    assert said[0] == said[1]


async def test_script_and_server_agree_where_the_clocks_change(open_browser: Opener, base: str) -> None:
    """The server's side of this table is `test_the_changes_that_everybody_asks_about`."""
    page = await (await open_browser()).new_page()
    for zone, written, days, arrives, _ in CHANGES:
        there = datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(zone))
        await page.clock.set_fixed_time(there)
        await page.goto(base)
        await page.select_option("#timezone", zone)
        await page.click("label[for=first_arrival-date]")
        await write(page, first_date=(there.date() + timedelta(days=days)).isoformat())
        shown = datetime.fromisoformat(arrives)
        await expect(page.locator("[data-day=first_date]")).to_have_text(
            f"{shown:%A}, {shown.day} {shown:%B %Y, %H:%M}"
        )


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_days_are_chosen_with_a_script(open_browser: Opener, base: str, language: str) -> None:
    page = await (await open_browser(language=language, zone="Pacific/Apia")).new_page()
    await page.clock.install(time="2027-01-31T09:30:00Z")
    await page.goto(base)
    times = page.locator(".arrivals time:visible")
    await page.click("label[for=first_arrival-P1Y]")
    await expect(page.locator("#order")).to_be_visible()
    await page.click("label[for=second_arrival-date]")
    await expect(page.locator("#order")).to_be_hidden()
    await page.fill("#second_date", "2028-02-29")
    english = ["Monday, 31 January 2028, 22:30", "Tuesday, 29 February 2028, 22:30"]
    korean = ["2028년 1월 31일 월요일 22:30", "2028년 2월 29일 화요일 22:30"]
    await expect(times).to_have_text({"en": english, "ko": korean}[language])
    await page.click("label[for=second_arrival-none]")
    await expect(times).to_have_count(1)


@pytest.mark.parametrize(("scripts", "language"), [(True, "ko"), (False, "en")])
async def test_a_letter_comes_once_on_its_day(open_browser: Opener, base: str, scripts: bool, language: str) -> None:
    page = await (await open_browser(scripts=scripts, language=language)).new_page()
    await page.goto(base)
    await write(page, **LETTER)
    await page.click("label[for=first_arrival-date]")
    await page.click("label[for=second_arrival-none]")
    await drop_it_in_the_box(page)
    said = {"en": "Please choose the day.", "ko": "날짜를 골라 주세요."}[language]
    await expect(page.locator("#first_date")).to_have_accessible_description(said)
    day = (datetime.now(UTC) + timedelta(days=400)).date()
    await page.fill("#first_date", day.isoformat())
    await drop_it_in_the_box(page)
    await expect(page.locator(".deliveries li")).to_have_count(1)
    await expect(page.locator(".deliveries time")).to_contain_text(
        {"en": f"{day.day} {day:%B} {day.year}", "ko": f"{day.year}년 {day.month}월 {day.day}일"}[language]
    )
