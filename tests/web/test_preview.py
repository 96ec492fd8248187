"""A look at a letter before it is posted, and going on writing: nothing is stored, and nothing typed is lost."""

import html
import re

import httpx
import pytest

from app.mail.envelope import Mail
from app.store.models import Letter
from tests.unit.mails import COMPOSER, ENGLISH, FIRST, KOREAN, part, read
from tests.web.requests import LETTER

pytestmark = pytest.mark.anyio

TYPED = LETTER | {
    "recipient_name": 'Su"jin',
    "subject": "<i>The sea</i>",
    "body": "\n\nDear Sujin,\r\n</textarea></iframe><style>*{}</style>\r\n50% & more",
    "sender_name": "Jun",
    "sender_email": "jun@example.net",
    "timezone": "Asia/Seoul",
    "first_arrival": "date",
    "first_date": "2026-03-01",
    "second_arrival": "none",
}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def kept(page: str) -> dict[str, str]:
    """Return what a page's hidden fields hold."""
    body = re.search(r'<textarea name="body" hidden>\n(.*?)</textarea>', page, re.DOTALL)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    return {name: html.unescape(value) for name, value in (fields | {"body": body[1] if body else ""}).items()}


async def test_the_look_shows_the_mail_and_holds_what_was_typed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/letters/look", data=TYPED)
    assert answer.status_code == 200
    assert kept(answer.text) == TYPED
    for words in ("Sunday, 1 March 2026, 18:30", "not at all", "Slow Mailbox &lt;letters@localhost.localdomain&gt;"):
        assert words in answer.text
    frame = re.search(r'<iframe class="mail" srcdoc="([^"]*)" sandbox title', answer.text)
    assert frame
    assert "&lt;/iframe&gt;&lt;style&gt;*{}&lt;/style&gt;\n50% &amp; more" in html.unescape(frame[1]).replace("\r", "")
    assert not await Letter.exists()


async def test_the_look_allows_the_mails_own_style_and_no_other(client: httpx.AsyncClient) -> None:
    policy = (await client.post("/letters/look", data=TYPED)).headers["content-security-policy"]
    usual = (await client.get("/")).headers["content-security-policy"]
    assert len(re.findall(r"'sha256-[\w+/=]{44}'", policy)) == 2
    assert re.sub(r" 'sha256-[\w+/=]{44}'", "", policy) == usual
    assert "unsafe" not in policy


@pytest.mark.parametrize("mail", [ENGLISH, KOREAN], ids=["English", "Korean"])
def test_the_look_says_what_the_mail_will_say(mail: Mail) -> None:
    sent, seen = read(mail), COMPOSER.preview(mail, FIRST)
    assert (str(sent["From"]), str(sent["Subject"])) == (seen.sender, seen.subject)
    assert part(sent, "plain").split() == seen.text.split()
    assert words(part(sent, "html")) == words(seen.html)


def words(page: str) -> list[str]:
    return re.sub(r"<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL).split()


async def test_a_letter_that_is_not_right_is_not_shown(client: httpx.AsyncClient) -> None:
    answer = await client.post("/letters/look", data=TYPED | {"recipient_email": "nobody"})
    assert answer.status_code == 422
    assert 'id="recipient_email-error"' in answer.text
    assert 'action="/letters"' in answer.text


@pytest.mark.parametrize("path", ["/letters/draft", "/letters/look"])
async def test_the_language_is_switched_in_the_middle_of_writing(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, data=TYPED | {"language": "ko"})
    assert answer.status_code == 200
    assert '<html lang="ko">' in answer.text
    assert "50% &amp; more" in answer.text
    assert '<html lang="ko">' in (await client.get("/")).text


async def test_going_on_writing_keeps_everything(client: httpx.AsyncClient) -> None:
    page = (await client.post("/letters/draft", data=TYPED)).text
    for name in ("recipient_email", "recipient_name", "subject", "sender_name", "sender_email", "first_date"):
        value = re.search(rf'id="{name}"[^>]*? value="(.*?)"', page)
        assert value
        assert html.unescape(value[1]) == TYPED[name]
    assert set(re.findall(r'id="([\w-]+)"[^>]* checked', page)) == {"first_arrival-date", "second_arrival-none"}
    assert "data-fresh" not in page
    assert not await Letter.exists()


@pytest.mark.parametrize("path", ["/letters/draft", "/letters/look"])
async def test_reloading_leads_to_the_form(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_what_fills_the_trap_falls_into_it_behind_the_look_too(client: httpx.AsyncClient) -> None:
    page = await client.post("/letters/look", data=LETTER | {"website": "https://spam.example"})
    assert (await client.post("/letters", data=kept(page.text))).status_code == 303
    assert not await Letter.exists()
