"""docs/standards.md P2 and P3: a class may write from one address, a flood may not, and nobody learns about others."""

import html
import re
from datetime import timedelta

import httpx
import pytest

from app.sealing import new_token
from app.settings import Settings
from app.store.models import Letter
from app.web.throttle import Allowance
from app.wiring import Mailbox
from tests.clock import FrozenClock
from tests.web.asking import LETTER, asking, post, posted

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
POSTS = 120


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is counted in memory is the same before both."""
    return sqlite_url


def _to(number: int) -> dict[str, str]:
    return {"recipient_email": f"reader{number}@example.org"}


def test_an_allowance_comes_back_evenly(clock: FrozenClock) -> None:
    allowance = Allowance(clock, 10, 100)
    for _ in range(10):
        assert allowance.wait("a") == 0
        allowance.count("a")
    assert (allowance.wait("a"), allowance.wait("b")) == (10, 0)
    clock.advance(9 * SECOND)
    assert allowance.wait("a") == 1
    clock.advance(1 * SECOND)
    assert allowance.wait("a") == 0
    allowance.count("a")
    assert allowance.wait("a") == 10
    clock.advance(100 * SECOND)
    for _ in range(10):
        assert allowance.wait("a") == 0
        allowance.count("a")
    assert allowance.wait("a") == 10


def test_a_wall_clock_that_jumps_gives_nothing_back(clock: FrozenClock) -> None:
    allowance = Allowance(clock, 1, 10)
    allowance.count("a")
    clock.jump(timedelta(days=1))
    assert allowance.wait("a") == 10


def test_a_crowd_of_clients_does_not_fill_the_memory(clock: FrozenClock) -> None:
    allowance = Allowance(clock, 1, 10)
    for number in range(10_500):
        allowance.count(str(number))
    assert len(allowance._whole_at) == 10_000


async def test_a_class_of_40_behind_one_address_can_write_and_a_flood_cannot(
    client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    for number in range(POSTS):
        assert (await post(client, **_to(number))).status_code == 303
    answer = await post(client, subject="Kept & safe", body="Every word\nof it", **_to(POSTS))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) == 30
    assert "try again later" in answer.text
    assert 'value="Kept &amp; safe"' in answer.text
    assert html.unescape(answer.text).count("Every word\nof it") == 1
    assert 'role="alert"' in answer.text
    as_json = await client.post("/api/letters", json=LETTER)
    assert as_json.status_code == 429
    assert as_json.headers["content-type"] == "application/problem+json"
    assert int(as_json.headers["retry-after"]) == 30
    assert await Letter.all().count() == POSTS
    clock.advance(30 * SECOND)
    assert (await post(client, **_to(POSTS))).status_code == 303


async def test_one_network_is_one_client_and_another_is_not_slowed(mailbox: Mailbox) -> None:
    async with asking(mailbox, peer="2001:db8:1:2::1") as client:
        for number in range(POSTS):
            await post(client, **_to(number))
        app = client._transport.app  # type: ignore[attr-defined]
        for peer, status in (("2001:db8:1:2:ffff::9", 429), ("2001:db8:1:3::1", 303)):
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app, client=(peer, 1)), base_url=client.base_url
            ) as other:
                assert (await post(other)).status_code == status


async def test_a_header_that_no_proxy_of_ours_sent_makes_no_new_client(client: httpx.AsyncClient) -> None:
    for number in range(POSTS + 1):
        answer = await client.post(
            "/letters", data=LETTER | _to(number), headers={"X-Forwarded-For": f"192.0.2.{number}"}
        )
    assert answer.status_code == 429


async def test_what_is_refused_is_counted_too(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    for _ in range(POSTS):
        assert (await post(client, body="")).status_code == 422
    assert (await post(client)).status_code == 429
    assert (await client.post("/api/letters", json=LETTER)).status_code == 429
    clock.advance(30 * SECOND)
    assert (await post(client)).status_code == 303


async def test_what_is_refused_in_json_is_counted_too(client: httpx.AsyncClient) -> None:
    wrong = {"recipient_email": "sujin", "body": 1}
    statuses = [(await client.post("/api/letters", json=wrong)).status_code for _ in range(POSTS + 1)]
    assert statuses == [422] * POSTS + [429]


async def test_asking_for_links_without_an_address_is_counted(client: httpx.AsyncClient) -> None:
    statuses = [(await client.post("/links", data={"sender_email": "jun"})).status_code for _ in range(21)]
    assert statuses == [422] * 20 + [429]


async def test_guessing_at_links_ends_soon(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    token = await posted(client)
    statuses = [(await client.get(f"/letters/{new_token()}")).status_code for _ in range(61)]
    assert statuses == [404] * 60 + [429]
    for answer in (
        await client.get(f"/letters/{token}"),
        await client.get(f"/letters/{token}/withdraw"),
        await client.post(f"/letters/{token}/withdraw"),
        await client.get(f"/api/letters/{token}"),
        await client.delete(f"/api/letters/{token}"),
    ):
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) == 10
    clock.advance(10 * SECOND)
    assert (await client.get(f"/letters/{token}")).status_code == 200


@pytest.mark.parametrize("path", ["/stop/{}", "/quiet/{}", "/letters/{}/withdraw", "/api/stop/{}", "/confirm/{}"])
async def test_guessing_at_links_by_post_ends_as_soon(client: httpx.AsyncClient, path: str) -> None:
    statuses = [(await client.post(path.format(new_token()))).status_code for _ in range(61)]
    assert set(statuses[:60]) <= {303, 404}
    assert statuses[60] == 429


async def test_misses_close_every_door_that_a_link_opens(mailbox: Mailbox) -> None:
    async with asking(mailbox) as client:
        for _ in range(60):
            await client.get(f"/letters/{new_token()}")
        routers = client._transport.app.routes  # type: ignore[attr-defined]
        routes = [route for router in routers for route in getattr(router, "original_router", router).routes]
        doors = [(method, route.path) for route in routes if "{token}" in route.path for method in route.methods]
        assert len(doors) > 30
        for method, path in doors:
            answer = await client.request(method, path.replace("{token}", new_token()), json=LETTER)
            assert answer.status_code in {422, 429}, (method, path)


async def test_links_that_lead_somewhere_are_followed_as_often_as_one_likes(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    for _ in range(70):
        assert (await client.get(f"/letters/{token}")).status_code == 200


async def test_calling_back_has_its_limit_too(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    statuses = [(await client.delete(f"/api/letters/{token}")).status_code for _ in range(61)]
    assert statuses == [204] * 60 + [429]


async def test_the_answer_does_not_tell_who_is_written_to(mailbox: Mailbox) -> None:
    """A full reader's box, a full writer's and a full house are answered in the same words."""
    answers = set()
    for fields in ({}, {"recipient_email": "{}@example.org", "sender_email": "jun@example.net"}):
        async with asking(mailbox) as client:
            for number in range(51):
                answer = await post(client, **{name: text.format(number) for name, text in fields.items()})
        assert answer.status_code == 429
        notice = re.search(r'<div class="summary".*?</div>', answer.text, re.DOTALL)
        assert notice
        answers.add((notice[0], answer.headers["retry-after"]))
    assert len(answers) == 1


async def test_limits_can_be_switched_off(settings: Settings, mailbox: Mailbox) -> None:
    async with asking(mailbox, settings=settings.model_copy(update={"rate_limits": False})) as client:
        for number in range(POSTS + 1):
            assert (await post(client, **_to(number))).status_code == 303
        for _ in range(61):
            assert (await client.get(f"/letters/{new_token()}")).status_code == 404


async def test_a_trap_that_was_filled_looks_like_a_success_and_stores_nothing(client: httpx.AsyncClient) -> None:
    honest, caught = await post(client, website=""), await post(client, website="https://buy.example")
    assert (honest.status_code, caught.status_code) == (303, 303)
    assert re.fullmatch(r"/letters/[\w-]{22}", caught.headers["location"])
    assert set(honest.headers) == set(caught.headers)
    assert await Letter.all().count() == 1
    assert (await client.get(caught.headers["location"])).status_code == 404


async def test_a_wrong_letter_in_the_trap_is_refused_like_any_other(client: httpx.AsyncClient) -> None:
    assert (await post(client, website="x", body="")).status_code == 422


async def test_nobody_meets_the_trap(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    trap = re.search(r'<div hidden aria-hidden="true">(.*?)</div>', page, re.DOTALL)
    assert trap
    assert 'tabindex="-1" autocomplete="off"' in trap[1]
    assert "leave this empty" in trap[1]  # for browsers that show what is hidden
