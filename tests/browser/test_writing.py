"""A letter from the form to the outbox in Chromium, with and without scripts."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from app.store.sqlite import as_text
from tests.acceptance.servers import Program, eventually
from tests.browser.pages import BODY, LETTER, Opener, arrived, drop_it_in_the_box, findings, ledger_of, write

pytestmark = pytest.mark.anyio


@pytest.mark.slow
@pytest.mark.parametrize("scripts", [True, False], ids=["with a script", "without"])
async def test_a_letter_arrives_twice(quick_program: Program, open_browser: Opener, scripts: bool) -> None:
    with quick_program.uvicorn() as server:
        page = await (await open_browser(language="ko", scripts=scripts)).new_page()
        await page.goto(server.base)
        await write(page, **LETTER)
        await drop_it_in_the_box(page)
        assert "/letters/" in page.url
        await expect(page.locator("h1")).to_have_text("편지가 우체통에 들어갔어요")
        with ledger_of(quick_program.folder) as ledger:  # the days pass
            ledger.execute("UPDATE deliveries SET due_at = ?", [as_text(datetime.now(UTC))])
        eventually(lambda: quick_program.audit()["by_status"]["sent"] == 2)
        mails = arrived(quick_program.folder)
        assert len(mails) == 2
        assert len({mail["Message-ID"] for mail in mails}) == 2
        for mail in mails:
            assert mail["To"].addresses[0].addr_spec == "sujin@example.org"
            text = mail.get_body(("plain",))
            assert text
            assert BODY.strip() in text.get_content().replace("\r\n", "\n")
        await page.reload()
        await expect(page.locator("h1")).to_have_text("편지를 보냈어요")
        await page.goto(f"{server.base}/outbox")
        await expect(page.locator(".mails li")).to_have_count(2)
        assert not scripts or await findings(page) == []
        await page.locator(".mails a").first.click()
        frame = page.frame_locator("iframe")
        await expect(frame.locator("body")).to_contain_text("From the sea")
        await expect(page.locator("pre")).to_contain_text("From the sea")
        assert not scripts or await findings(page) == []


@pytest.fixture
async def page(open_browser: Opener, base: str) -> AsyncIterator[Page]:
    """The form in a window with scripts; none of them may fail."""
    page = await (await open_browser()).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(base)
    yield page
    assert errors == []


@pytest.mark.parametrize("scripts", [True, False], ids=["with a script", "without"])
async def test_an_error_keeps_the_input_and_gets_the_focus(open_browser: Opener, base: str, scripts: bool) -> None:
    page = await (await open_browser(scripts=scripts)).new_page()
    await page.goto(base)
    await write(page, **LETTER | {"recipient_email": "a@b@c", "body": "\n\n  " + BODY})
    await drop_it_in_the_box(page)
    await expect(page.locator("#summary")).to_be_focused()
    await expect(page).to_have_title(re.compile("^Error: "))
    for name, text in (LETTER | {"recipient_email": "a@b@c", "body": "\n\n  " + BODY}).items():
        await expect(page.locator(f"#{name}")).to_have_value(text)
    await page.click("#summary a")
    await expect(page.locator("#recipient_email")).to_be_focused()
    await expect(page.locator("#recipient_email")).to_have_accessible_description(
        "Please enter exactly one e-mail address."
    )


async def test_a_draft_is_kept_until_it_is_posted(page: Page, base: str) -> None:
    typed = LETTER | {"sender_name": "준", "sender_email": "jun@example.net"}
    await write(page, **typed)
    day = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
    await page.click("label[for=first_arrival-date]")
    await write(page, first_date=day)
    await page.click("label[for=second_arrival-none]")
    await page.select_option("#timezone", "Pacific/Apia")
    await expect(page.locator("#saved")).to_be_visible()
    await page.goto(f"{base}/letters/nothing")
    await page.goto(base)
    await expect(page.locator("#kept")).to_be_visible()
    for name, text in (typed | {"first_date": day, "timezone": "Pacific/Apia"}).items():
        await expect(page.locator(f"#{name}")).to_have_value(text)
    for choice in ("first_arrival-date", "second_arrival-none"):
        await expect(page.locator(f"#{choice}")).to_be_checked()
    await drop_it_in_the_box(page)
    await page.goto(base)
    await expect(page.locator("#kept")).to_be_hidden()
    await expect(page.locator("#body")).to_have_value("")
    await expect(page.locator("#second_arrival-usual")).to_be_checked()


async def test_a_draft_can_be_discarded(page: Page) -> None:
    await write(page, **LETTER)
    await expect(page.locator("#saved")).to_be_visible()
    await page.reload()
    await page.click("#afresh")
    await expect(page.locator("#recipient_email")).to_be_focused()
    await page.reload()
    await expect(page.locator("#kept")).to_be_hidden()


async def test_characters_are_counted_by_graphemes(page: Page) -> None:
    await write(page, body="각 👨‍👩‍👧‍👦 e\u0301")
    await expect(page.locator("#count")).to_have_text("Characters: 5")


@pytest.mark.parametrize(("scripts", "language"), [(True, "en"), (False, "ko")])
async def test_a_letter_is_previewed_before_it_is_posted(
    open_browser: Opener, base: str, scripts: bool, language: str
) -> None:
    """Without scripts, and when the language is switched, no input is lost."""
    page = await (await open_browser(scripts=scripts, language=language)).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await page.goto(base)
    await write(page, **LETTER)
    await page.click("label[for=second_arrival-none]")
    await page.get_by_role("button", name={"en": "한국어", "ko": "English"}[language]).click()
    other = {"en": "ko", "ko": "en"}[language]
    look = {"en": "Preview", "ko": "미리 보기"}[other]
    await page.get_by_role("button", name=look).click()
    await expect(page.locator("html")).to_have_attribute("lang", other)
    sheet = page.frame_locator("iframe").locator(".sheet")
    await expect(sheet).to_contain_text("From the sea")
    assert await sheet.evaluate("element => getComputedStyle(element).maxWidth") == "640px"
    await page.get_by_role("button", name={"en": "Go on writing", "ko": "이어서 쓰기"}[other]).click()
    for name, text in LETTER.items():
        await expect(page.locator(f"#{name}")).to_have_value(text)
    await page.get_by_role("button", name=look).click()
    await drop_it_in_the_box(page)
    await expect(page.locator(".deliveries li")).to_have_count(1)
    assert said == []


@pytest.mark.parametrize(("scripts", "language"), [(True, "ko"), (False, "en")])
async def test_a_letter_is_changed_until_it_is_sealed(
    open_browser: Opener, base: str, scripts: bool, language: str
) -> None:
    """The kept draft of a new letter is not used."""
    page = await (await open_browser(scripts=scripts, language=language)).new_page()
    await page.goto(base)
    await write(page, **LETTER)
    await drop_it_in_the_box(page)
    letter = page.url
    await expect(page.locator(".words")).to_have_text(BODY)
    await page.get_by_role("link", name={"en": "Change it", "ko": "고치기"}[language], exact=True).click()
    await expect(page.locator("#subject")).to_have_value(LETTER["subject"])
    await page.click("label[for=second_arrival-none]")
    await write(page, subject="", body="\n")
    await drop_it_in_the_box(page)
    await expect(page.locator("#summary")).to_be_focused()
    await write(page, body="Anew")
    await drop_it_in_the_box(page)
    assert page.url == letter
    await expect(page.locator(".words")).to_have_text("Anew")
    await expect(page.locator(".deliveries li")).to_have_count(1)
    await expect(page.locator(".timeline li")).to_have_count(3)
    await page.goto(base)
    await expect(page.locator("#body")).to_have_value("")


async def test_enter_posts_and_switches_no_language(open_browser: Opener, base: str) -> None:
    page = await (await open_browser(scripts=False)).new_page()
    await page.goto(base)
    await write(page, **LETTER)
    await page.press("#subject", "Enter")
    await expect(page.locator("h1")).to_have_text("Your letter is in the box")


async def test_an_old_name_of_a_zone_is_accepted(open_browser: Opener, base: str) -> None:
    page = await (await open_browser(zone="Asia/Saigon")).new_page()
    await page.goto(base)
    await write(page, **LETTER)
    await drop_it_in_the_box(page)
    await expect(page.locator("h1")).to_have_text("Your letter is in the box")


async def test_a_double_click_posts_one_letter(page: Page) -> None:
    await write(page, **LETTER)
    posts = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    await page.dblclick("#post")
    await page.wait_for_url("**/letters/*")
    assert len(posts) == 1


@pytest.mark.parametrize("scripts", [True, False], ids=["with a script", "without"])
async def test_a_letter_is_called_back(open_browser: Opener, base: str, scripts: bool) -> None:
    page = await (await open_browser(scripts=scripts)).new_page()
    await page.goto(base)
    await write(page, **LETTER)
    await drop_it_in_the_box(page)
    await page.get_by_role("link", name="Call it back").click()
    await expect(page.locator("main li")).to_have_count(2)
    await page.get_by_role("button", name="Yes, call it back").click()
    await expect(page.locator("h1")).to_have_text("Your letter was called back")


async def test_the_language_switch_stays_on_the_page(open_browser: Opener, base: str) -> None:
    page = await (await open_browser(scripts=False)).new_page()
    await page.goto(base)
    await write(page, **LETTER)
    await drop_it_in_the_box(page)
    letter = page.url
    await page.get_by_role("button", name="한국어").click()
    assert page.url == letter
    await expect(page.locator("h1")).to_have_text("편지가 우체통에 들어갔어요")
    assert await page.locator("html").get_attribute("lang") == "ko"
