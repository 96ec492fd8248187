"""The reader's page: one click as mail programs do it (docs/standards.md E8), and the choices of the page."""

import re
from typing import Any

import httpx
import pytest

from app.crypto import new_token, token_hash
from app.domain.status import HeldReason, Occasion, Status
from app.store.models import BlockedAddress, Delivery, Letter
from app.wiring import Services
from tests.clock import FrozenClock
from tests.web.requests import asking, post, posted

pytestmark = pytest.mark.anyio

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def link(client: httpx.AsyncClient, services: Services) -> str:
    """The reader's page of a letter whose first delivery was sent."""
    letter = await Letter.get(token_hash=token_hash(await posted(client)))
    first = Delivery.filter(letter_id=letter.id, occasion=Occasion.FIRST)
    await first.update(status=Status.SENT, sent_at=services.clock.now())
    return f"/stop/{services.cipher.reader_token(letter.id, letter.recipient_hmac)}"


async def _second() -> Delivery:
    return await Delivery.get(occasion=Occasion.SECOND)


# One click


@pytest.mark.parametrize(
    "sent",
    [
        {"data": ONE_CLICK},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"content": b"", "headers": {"Content-Type": "text/plain"}},
        {"content": b"--", "headers": {"Content-Type": "multipart/form-data; boundary=wrong"}},
        {"data": ONE_CLICK, "headers": {"Origin": "https://mail.example"}},
        {"data": ONE_CLICK, "headers": {"Sec-Fetch-Site": "cross-site", "Origin": "null"}},
        {"data": ONE_CLICK, "headers": {"Cookie": "session=x; language=ko"}},
    ],
)
async def test_one_click_stops_the_letter_and_twice_is_once(
    client: httpx.AsyncClient, link: str, sent: dict[str, Any]
) -> None:
    answers = [await client.post(link, **sent) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].text == answers[1].text
    assert "set-cookie" not in answers[0].headers
    assert (await _second()).status is Status.CANCELLED


async def test_a_look_changes_nothing(client: httpx.AsyncClient, link: str) -> None:
    """Mail filters follow every link; nothing may come of that."""
    for path in (link, f"{link}/block", f"{link}/resume", f"{link}/unblock"):
        for method in ("GET", "HEAD", "OPTIONS"):
            await client.request(method, path)
    assert (await _second()).status is Status.SCHEDULED
    assert await BlockedAddress.all().count() == 0


async def test_the_page_shows_the_forms_and_nothing_of_the_letter(client: httpx.AsyncClient, link: str) -> None:
    page = await client.get(link)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-robots-tag"] == "noindex"
    assert f'<form action="{link}" method="post">' in page.text
    assert f'<form action="{link}/block" method="post">' in page.text
    assert "s…@example.org" in page.text
    assert not re.search("sujin|Sujin|the sea", page.text)


@pytest.mark.parametrize("path", ["/block", "/unblock", "/resume"])
async def test_only_the_one_click_may_come_from_elsewhere(client: httpx.AsyncClient, link: str, path: str) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await client.post(f"{link}{path}", headers=headers)).status_code == 403
    for method in ("DELETE", "PUT", "PATCH"):
        assert (await client.request(method, link, headers={"Origin": "https://evil.example"})).status_code == 403


async def test_a_writers_link_is_no_readers_link(client: httpx.AsyncClient, link: str) -> None:
    writer = await posted(client)
    for token in (writer, new_token(), "x", "x" * 22):
        for path in ("", "/block", "/unblock", "/resume"):
            assert (await client.post(f"/stop/{token}{path}")).status_code == 404
        assert (await client.get(f"/stop/{token}")).status_code == 404
    assert (await client.get(link.replace("/stop/", "/letters/"))).status_code == 404
    assert await Delivery.filter(status=Status.SCHEDULED).count() == 3


async def test_the_log_holds_no_readers_token(
    client: httpx.AsyncClient, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await client.post(link)
    await client.post(f"{link}/block")
    log = "".join(capsys.readouterr())
    assert "route=stop" in log
    assert link.removeprefix("/stop/") not in log


async def test_no_flood_of_others_keeps_a_reader_from_stopping(client: httpx.AsyncClient, link: str) -> None:
    """The mail programs of many readers ask from one address."""
    for _ in range(70):
        await client.get(f"/letters/{new_token()}")
    assert (await client.get(link)).status_code == 429
    assert (await client.post(link, data=ONE_CLICK)).status_code == 200


# The choices of the page


async def test_a_stop_and_a_block_are_taken_back_by_the_page(
    client: httpx.AsyncClient, clock: FrozenClock, link: str
) -> None:
    assert "will not be sent again" in (await client.post(link)).text
    assert "Receive it after all" in (await client.get(link)).text
    answer = await client.post(f"{link}/resume")
    assert (answer.status_code, answer.headers["location"]) == (303, link)
    assert (await _second()).status is Status.SCHEDULED
    answer = await client.post(f"{link}/block")
    assert (answer.status_code, answer.headers["location"]) == (303, link)
    assert "All mail to this address is stopped" in (await client.get(link)).text
    await client.post(f"{link}/unblock")
    assert await BlockedAddress.all().count() == 0
    await client.post(link)
    clock.advance((await _second()).due_at - clock.now())
    assert "Receive it after all" not in (await client.get(link)).text


async def test_posting_to_a_blocked_address_is_answered_as_ever(client: httpx.AsyncClient, link: str) -> None:
    before = await post(client)
    await client.post(f"{link}/block")
    after = await post(client)
    assert (before.status_code, after.status_code) == (303, 303)
    pages = [(await client.get(answer.headers["location"])).text for answer in (before, after)]
    assert len({re.sub(r"/letters/[\w-]+", "", page) for page in pages}) == 1


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (Status.HELD, HeldReason.BLOCKED, "its reader does not want letters from this mailbox"),
        (Status.CANCELLED, None, "Its reader asked us not to send it again."),
    ],
)
async def test_the_writers_page_tells_the_truth(
    client: httpx.AsyncClient, services: Services, status: Status, reason: HeldReason | None, words: str
) -> None:
    token, now = await posted(client), services.clock.now()
    await Letter.all().update(stopped_at=now)
    await Delivery.all().update(status=status, status_at=now, held_reason=reason)
    assert words in (await client.get(f"/letters/{token}")).text


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("status", list(Status))
async def test_every_state_has_its_words(
    client: httpx.AsyncClient, services: Services, link: str, status: Status, language: str
) -> None:
    """What was under way at the stop stays so; the page must not fail on any state."""
    if status is Status.CLAIMED:
        return
    now = services.clock.now()
    await Delivery.filter(occasion=Occasion.SECOND).update(
        status=status,
        sent_at=now if status is Status.SENT else None,
        held_reason=HeldReason.OPERATOR if status is Status.HELD else None,
    )
    for _ in range(2):
        page = await client.get(link, headers={"Accept-Language": language})
        assert page.status_code == 200
        assert page.text.count("<h2") == 2
        await client.post(link)


# What every page and mail says of the operator


async def test_pages_name_the_operator_and_an_address_for_abuse(services: Services, client: httpx.AsyncClient) -> None:
    named = {"operator_name": "The <Pier> Library", "abuse_address": "Help <abuse@example.org>"}
    async with asking(services, settings=services.settings.model_copy(update=named)) as told:
        for path in ("/", "/about", "/nothing"):
            page = (await told.get(path)).text
            assert "Run by: The &lt;Pier&gt; Library" in page
            assert '<a href="mailto:abuse@example.org">abuse@example.org</a>' in page
    assert "mailto:" not in (await client.get("/about")).text


async def test_every_page_leads_to_what_happens_to_a_letter(client: httpx.AsyncClient, link: str) -> None:
    for path in ("/", link, "/nothing", "/admin/login"):
        assert 'href="/about"' in (await client.get(path)).text
    page = await client.get("/about", headers={"Accept-Language": "ko"})
    assert page.status_code == 200
    assert page.headers["x-robots-tag"] == "all"
    assert "7일 뒤에 한 번, 30일 뒤에 한 번 더" in page.text


async def test_it_says_what_this_post_office_does(services: Services, client: httpx.AsyncClient) -> None:
    tried_out = (await client.get("/about")).text
    assert "only being tried out" in tried_out
    assert "we send the letter again rather than lose it" in tried_out
    real = {"smtp_url": "smtp://127.0.0.1:2525", "on_uncertain": "hold", "secret_key": ("k" * 32,)}
    async with asking(services, settings=services.settings.model_copy(update=real)) as serious:
        page = (await serious.get("/about")).text
    assert "tried out" not in page
    assert "somebody looks at it first" in page
    assert "exactly once" not in page
