"""docs/standards.md P2 and P3: a class may write from one address, a flood may not, and nobody learns about others."""

import contextlib
import html
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from limits import RateLimitItemPerHour
from starlette.requests import Request

from app.crypto import new_token
from app.domain.status import HeldReason
from app.errors import Limit, LimitExceeded
from app.settings import Settings
from app.store.letters import Letters
from app.store.models import Delivery, Letter
from app.web.clients import networks_of
from app.web.limits import MOST_KEPT, Allowance, Windows
from app.wiring import Services, quotas_of
from tests.clock import FrozenClock
from tests.web.requests import LETTER, asking, post, posted

pytestmark = pytest.mark.anyio

POSTS = 360
MINUTE = timedelta(minutes=1)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is counted in memory is the same before both."""
    return sqlite_url


def _to(number: int) -> dict[str, str]:
    return {"recipient_email": f"reader{number}@example.org"}


def _strict(settings: Settings) -> Settings:
    return settings.model_copy(update={"posts_per_hour": 5})


def test_there_is_room_again_once_the_oldest_request_is_an_hour_old(clock: FrozenClock) -> None:
    allowance = Allowance(clock, Limit.REQUESTS, RateLimitItemPerHour, 10)
    for _ in range(10):
        allowance.require(["a"])
        allowance.count(["a"])
        clock.advance(MINUTE)
    with pytest.raises(LimitExceeded) as refused:
        allowance.require(["a"])
    assert refused.value.seconds == 50 * 60
    allowance.require(["b"])
    clock.jump(timedelta(days=1))  # the wall clock alone
    clock.advance(timedelta(seconds=50 * 60 - 1))
    with pytest.raises(LimitExceeded):
        allowance.require(["a"])
    clock.advance(timedelta(seconds=1))
    allowance.require(["a"])
    allowance.count(["a"])
    with pytest.raises(LimitExceeded) as refused:
        allowance.require(["a"])
    assert refused.value.seconds == 60


def test_networks_around_a_client_have_four_and_sixteen_times_as_much(clock: FrozenClock) -> None:
    allowance = Allowance(clock, Limit.REQUESTS, RateLimitItemPerHour, 2)

    def taken(networks: list[list[str]]) -> int:
        number = 0
        for each in networks:
            with contextlib.suppress(LimitExceeded):
                allowance.require(each)
                allowance.count(each)
                number += 1
        return number

    assert taken([[f"{n // 5}/64", "site/56", "provider/48"] for n in range(50)]) == 8
    assert taken([[f"{n}/64 elsewhere", f"{n // 5}/56", "provider/48"] for n in range(50)]) == 32 - 8


def test_a_crowd_of_clients_does_not_fill_the_memory(clock: FrozenClock) -> None:
    allowance = Allowance(clock, Limit.REQUESTS, RateLimitItemPerHour, 1)
    for number in range(MOST_KEPT + 500):
        allowance.count([str(number)])
    storage = allowance._limiter.storage
    assert isinstance(storage, Windows)
    assert len(storage.times) == MOST_KEPT


@pytest.mark.parametrize(
    ("peer", "networks"),
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("2001:db8:1:2:3::4", ["2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"]),
        ("2001:db8:1:ff02::4", ["2001:db8:1:ff02::/64", "2001:db8:1:ff00::/56", "2001:db8:1::/48"]),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network_and_those_around_it(peer: str, networks: list[str]) -> None:
    assert networks_of(Request({"type": "http", "client": (peer, 1)})) == networks


async def test_a_school_behind_one_address_can_write_and_a_flood_cannot(
    client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    for number in range(POSTS):
        assert (await post(client, **_to(number))).status_code == 303
    answer = await post(client, subject="Kept & safe", body="Every word\nof it", **_to(POSTS))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) == 3600
    assert "We accept 360 letters an hour from one internet connection" in answer.text
    assert "try again in 60 minutes" in answer.text
    assert 'value="Kept &amp; safe"' in answer.text
    assert html.unescape(answer.text).count("Every word\nof it") == 1
    assert 'role="alert"' in answer.text
    as_json = await client.post("/api/letters", json=LETTER)
    assert as_json.status_code == 429
    assert as_json.headers["content-type"] == "application/problem+json"
    assert int(as_json.headers["retry-after"]) == 3600
    assert await Letter.all().count() == POSTS
    clock.advance(60 * MINUTE)
    assert (await post(client, **_to(POSTS))).status_code == 303


async def test_one_network_is_one_client_and_another_is_not_slowed(settings: Settings, services: Services) -> None:
    async with asking(services, settings=_strict(settings), peer="2001:db8:1:2::1") as client:
        for number in range(5):
            await post(client, **_to(number))
        app = client._transport.app  # type: ignore[attr-defined]
        for peer, status in (("2001:db8:1:2:ffff::9", 429), ("2001:db8:1:3::1", 303)):
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app, client=(peer, 1)), base_url=client.base_url
            ) as other:
                assert (await post(other)).status_code == status


async def test_a_header_that_no_proxy_of_ours_sent_makes_no_new_client(settings: Settings, services: Services) -> None:
    async with asking(services, settings=_strict(settings)) as client:
        for number in range(6):
            answer = await client.post(
                "/letters", data=LETTER | _to(number), headers={"X-Forwarded-For": f"192.0.2.{number}"}
            )
    assert answer.status_code == 429


async def test_what_is_refused_is_counted_too(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    for _ in range(POSTS):
        assert (await post(client, body="")).status_code == 422
    assert (await post(client)).status_code == 429
    assert (await client.post("/api/letters", json=LETTER)).status_code == 429
    clock.advance(timedelta(hours=1))
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
        assert int(answer.headers["retry-after"]) == 600
    clock.advance(10 * MINUTE)
    assert (await client.get(f"/letters/{token}")).status_code == 200


@pytest.mark.parametrize("path", ["/stop/{}", f"/quiet/{'A' * 21}{{}}", "/letters/{}/withdraw", "/confirm/{}"])
async def test_guessing_at_links_by_post_ends_as_soon(client: httpx.AsyncClient, path: str) -> None:
    statuses = [(await client.post(path.format(new_token()))).status_code for _ in range(61)]
    assert set(statuses[:60]) <= {303, 404}
    assert statuses[60] == 429


async def test_misses_close_every_door_that_a_link_opens(services: Services) -> None:
    async with asking(services) as client:
        for _ in range(60):
            await client.get(f"/letters/{new_token()}")
            await client.post(f"/stop/{new_token()}")
        routers = client._transport.app.routes  # type: ignore[attr-defined]
        routes = [route for router in routers for route in getattr(router, "original_router", router).routes]
        doors = [(method, route.path) for route in routes if "{token}" in route.path for method in route.methods]
        assert len(doors) >= 28
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


PROXY = "10.0.0.7"


@contextlib.asynccontextmanager
async def _from_everywhere(services: Services, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    """Ask through a proxy that says who asks."""
    chosen = {"trusted_proxies": (PROXY,), "posts_per_hour": 100_000} | settings
    services = await _limited(services, services.settings.model_copy(update=chosen))
    async with asking(services, peer=PROXY) as client:
        yield client


async def _limited(services: Services, settings: Settings) -> Services:
    """Return the parts as they are under other settings, on the same database."""
    letters = Letters(
        services.cipher,
        first_delay=settings.first_delay,
        second_delay=settings.second_delay,
        message_domain=services.message_domain,
        quotas=quotas_of(settings),
    )
    return replace(services, settings=settings, letters=letters)


async def _post_as(client: httpx.AsyncClient, peer: str, **fields: str) -> httpx.Response:
    return await client.post("/letters", data=LETTER | fields, headers={"X-Forwarded-For": peer})


async def _statuses(client: httpx.AsyncClient, peers: Sequence[str]) -> Counter[int]:
    answers = [await _post_as(client, peer, **_to(number)) for number, peer in enumerate(peers)]
    return Counter(answer.status_code for answer in answers)


async def test_no_client_shuts_a_domain_for_everyone(services: Services) -> None:
    """200 of 400 letters are free for all; of the others one IPv4 client has 10, an IPv6 /56 with its 84 /64s 40."""
    async with _from_everywhere(services, quota_per_domain=400) as client:
        assert await _statuses(client, ["192.0.2.1"] * 230) == {303: 210, 429: 20}
        refused = await _post_as(client, "192.0.2.1")
        assert "so we accept only 10 a day from one internet connection" in refused.text
        assert "What you wrote is kept below." in refused.text
        assert refused.headers["retry-after"] == "86400"
        site = [f"2001:db8:0:{n % 84:x}::1" for n in range(168)]
        assert await _statuses(client, site) == {303: 40, 429: 128}
        assert await _statuses(client, ["192.0.2.2"] * 11) == {303: 10, 429: 1}
        elsewhere = await _post_as(client, "192.0.2.1", recipient_email="minji@example.net")
        assert elsewhere.status_code == 303


async def test_a_class_with_its_teachers_address_is_told_what_helps(client: httpx.AsyncClient) -> None:
    fields = {"sender_email": "teacher@example.net"}
    for number in range(50):
        assert (await post(client, **_to(number), **fields)).status_code == 303
    refused = await post(client, **_to(50), **fields)
    assert refused.status_code == 429
    assert "50 letters a day with the same writer’s address" in refused.text
    assert "Without that address" in refused.text
    assert "try again in 24 hours" in refused.text
    as_json = await client.post("/api/letters", json=LETTER | _to(50) | fields, headers={"Accept-Language": "ko"})
    assert "보내는 사람 주소가 같은 편지는 하루에 50통까지" in as_json.json()["detail"]
    assert (await post(client, **_to(50))).status_code == 303


async def test_the_answer_does_not_tell_who_is_written_to(services: Services) -> None:
    """A spy with three addresses reads the same of a reader to whom others wrote and of one to whom nobody did."""
    async with _from_everywhere(services) as client:
        for number in range(45):
            await _post_as(client, f"192.0.2.{number}", recipient_email="known@example.org")
        seen = []
        for reader in ("known@example.org", "unknown@example.org"):
            pages = []
            for number in range(3 * 20):
                answer = await _post_as(client, f"198.51.100.{number % 3}", recipient_email=reader)
                assert answer.status_code == 303
                page = (await client.get(answer.headers["location"])).text
                pages.append(re.sub(r"/letters/[\w-]{22}", "", page).replace(reader, "").replace(reader[:7], ""))
            seen.append(pages)
    assert seen[0] == seen[1]
    assert await Delivery.filter(held_reason=HeldReason.QUOTA).count() == 2 * (45 + 60 - 50 + 60 - 50)


async def test_limits_can_be_switched_off(settings: Settings, services: Services) -> None:
    async with asking(services, settings=_strict(settings).model_copy(update={"rate_limits": False})) as client:
        for number in range(10):
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


async def test_previews_are_limited_for_each_client(client: httpx.AsyncClient) -> None:
    """The form and JSON count together."""
    answers = [
        (await client.post("/letters/look", data=LETTER | {"body": ""})).status_code,
        *[(await client.post("/api/letters/look", json=LETTER | {"body": ""})).status_code for _ in range(360)],
        (await client.post("/letters/look", data=LETTER)).status_code,
    ]
    assert answers == [422] * 360 + [429] * 2
    assert (await post(client)).status_code == 303
