"""What the admin page shows, and what it never shows."""

import re
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from app.domain.status import AttemptResult, Occasion, Status
from app.store.models import Delivery
from app.store.workers import heartbeat, register
from app.web.admin.login_throttle import FREE_TRIES
from tests.clock import NEW_YEAR as NOW
from tests.web.admin.browser import Desk, sign_in

pytestmark = pytest.mark.anyio


async def test_the_desk_shows_what_comes_next_and_what_ended_last(desk: Desk, operator: httpx.AsyncClient) -> None:
    await desk.ledger.add(Status.SCHEDULED, NOW + timedelta(days=7))
    await desk.ledger.add(Status.SENT, NOW - timedelta(hours=3), reader="ann@example.net")
    text = (await operator.get("/admin")).text
    assert text.index("Next deliveries") < text.index("m…@example.org") < text.index("Recently finished")
    assert text.index("Recently finished") < text.index("a…@example.net")
    assert "Thu 8 Jan 2026, 18:30" in text
    assert "in 7 days" in text
    assert "Asia/Seoul (+09:00)" in text
    assert "Not running" in text


async def test_the_desk_tells_of_a_mail_server_that_cannot_be_used(operator: httpx.AsyncClient) -> None:
    worker = uuid4()
    await register(worker, "host:1", NOW)
    await heartbeat(worker, NOW, "mail.example.org refused the login")
    text = (await operator.get("/admin")).text
    assert "host:1 cannot use the mail server" in text
    assert "mail.example.org refused the login" in text
    await heartbeat(worker, NOW)
    assert "cannot use the mail server" not in (await operator.get("/admin")).text


async def test_neither_a_letter_nor_an_address_is_on_the_page(desk: Desk, operator: httpx.AsyncClient) -> None:
    for status in Status:
        await desk.ledger.add(status, NOW)
        await desk.ledger.add(status, NOW, occasion=Occasion.RECEIPT)
    pages = [await operator.get(f"/admin{path}") for path in ("", "/deliveries", "/deliveries?state=sent")]
    for page in pages:
        assert "m…@example.org" in page.text
        assert not re.search("secret|minji|jun@", page.text)
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-robots-tag"] == "noindex"


async def test_what_a_server_said_is_shown_as_text(desk: Desk, operator: httpx.AsyncClient) -> None:
    failed = await desk.ledger.add(Status.FAILED, NOW)
    await desk.ledger.attempt(failed, AttemptResult.PERMANENT, 550, "<script>alert(1)</script>")
    await Delivery.filter(id=failed.id).update(attempts=17)
    text = (await operator.get("/admin")).text
    assert "550 4.2.1 &lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert ">17</td>" in text


async def test_pages_are_turned_by_links_that_lead_through_every_row(desk: Desk, operator: httpx.AsyncClient) -> None:
    for hour in range(120):
        await desk.ledger.add(Status.SCHEDULED, NOW + timedelta(hours=hour))
    seen, link = [], "/admin/deliveries?state=scheduled"
    while link:
        text = (await operator.get(link)).text
        seen += re.findall(r'<time datetime="([^"]*)"', text)
        following = re.search('rel="next" href="([^"]*)"', text)
        link = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen)) == 120
    assert seen == sorted(seen)
    assert 'rel="prev"' in text


async def test_one_state_alone_can_be_asked_for(desk: Desk, operator: httpx.AsyncClient) -> None:
    for status in Status:
        await desk.ledger.add(status, NOW)
    for status in Status:
        text = (await operator.get(f"/admin/deliveries?state={status}")).text
        assert re.findall('data-state="([^"]*)"', text) == [status]


async def test_a_wrong_cursor_means_the_first_page(desk: Desk, operator: httpx.AsyncClient) -> None:
    await desk.ledger.add(Status.HELD, NOW)
    assert "data-state" in (await operator.get("/admin/deliveries?at=nonsense")).text


async def test_a_large_count_is_told_in_full(desk: Desk, operator: httpx.AsyncClient) -> None:
    first = await desk.ledger.add(Status.HELD, NOW)
    await desk.ledger.multiply(first, 1_001)
    assert "<strong>1,002</strong> Held" in (await operator.get("/admin")).text


@pytest.mark.parametrize("path", ["/admin", "/admin/deliveries", "/admin/deliveries?state=sent&state=held"])
async def test_every_word_is_korean_for_a_korean(desk: Desk, operator: httpx.AsyncClient, path: str) -> None:
    for status in Status:
        await desk.ledger.add(status, NOW - timedelta(hours=1))
    text = (await operator.get(path, headers={"Accept-Language": "ko"})).text
    assert '<html lang="ko">' in text
    main = re.sub("<[^>]*>", " ", text[text.index("<main") :])
    words = set(re.findall("[A-Za-z]{2,}", main)) - {"example", "org", "Asia", "Seoul", "ID", "CSV"}
    assert not words


async def test_the_login_is_korean_for_a_korean(desk: Desk) -> None:
    async with desk.browser(**{"Accept-Language": "ko"}) as browser:
        for _ in range(FREE_TRIES):
            refused = await sign_in(browser, "a wrong password")
        waiting = await sign_in(browser)
    assert "사용자 이름이나 비밀번호가 맞지 않습니다." in refused.text
    assert "2초 뒤에 다시" in waiting.text
