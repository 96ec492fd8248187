"""Getting in and out of the admin page, and who is kept out."""

import re
from datetime import timedelta

import httpx
import pyotp
import pytest

from app.store.accounts import ABSOLUTE_TIMEOUT, IDLE_TIMEOUT, create_account
from app.store.models import Session
from app.store.second_factor import new_secret, switch_on
from app.web.admin.login_throttle import FREE_TRIES, STRANGERS_A_MINUTE
from tests.clock import FrozenClock
from tests.web.admin.browser import HTTP, PASSWORD, Desk, open_desk, sign_in

pytestmark = pytest.mark.anyio

HTTPS = "https://letters.example.org"


@pytest.mark.parametrize(
    "path",
    ["", "/deliveries", "/deliveries?state=held", "/deliveries/1", "/deliveries.csv"],
)
async def test_nobody_sees_a_page_without_having_signed_in(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(f"/admin{path}")
    assert (answer.status_code, answer.headers["location"], answer.text) == (303, "/admin/login", "")


async def test_signing_in_leads_to_the_desk_and_nowhere_else(browser: httpx.AsyncClient) -> None:
    answer = await browser.post(
        "/admin/login?next=https://evil.example&next=//evil.example",
        data={"username": "admin", "password": PASSWORD, "next": "https://evil.example"},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")
    assert (await browser.get("/admin")).status_code == 200
    assert (await browser.get("/admin/login")).headers["location"] == "/admin"


@pytest.mark.parametrize("username", ["admin", "nobody", "", "<b>\0"])
async def test_a_refusal_is_the_same_for_a_known_and_an_unknown_name(browser: httpx.AsyncClient, username: str) -> None:
    answer = await sign_in(browser, "a wrong password", username)
    assert answer.status_code == 403
    assert "Wrong user name or password." in answer.text
    assert "a wrong password" not in answer.text
    assert "<b>" not in answer.text
    assert "set-cookie" not in answer.headers
    assert 'aria-describedby="password-error"' in answer.text


async def test_the_name_that_was_typed_is_kept(browser: httpx.AsyncClient) -> None:
    assert 'value="somebody"' in (await sign_in(browser, username="somebody")).text


async def test_over_http_the_cookie_is_for_this_host_and_no_script(browser: httpx.AsyncClient) -> None:
    cookies = (await sign_in(browser)).headers.get_list("set-cookie")
    assert [re.sub("=[^;]*", "", cookie, count=1) for cookie in cookies] == [
        "session; HttpOnly; Path=/; SameSite=lax",
        "known; HttpOnly; Max-Age=15552000; Path=/; SameSite=lax",
    ]


async def test_over_https_the_cookie_is_bound_to_the_host_and_to_tls(sqlite_url: str, clock: FrozenClock) -> None:
    async with open_desk(sqlite_url, clock, HTTPS) as desk, desk.browser() as browser:
        cookies = (await sign_in(browser)).headers.get_list("set-cookie")
        assert (await browser.get("/admin")).status_code == 200
    assert [re.sub("=[^;]*", "", cookie, count=1) for cookie in cookies] == [
        "__Host-session; HttpOnly; Path=/; SameSite=lax; Secure",
        "__Host-known; HttpOnly; Max-Age=15552000; Path=/; SameSite=lax; Secure",
    ]


async def test_a_cookie_that_was_planted_before_the_login_opens_nothing_after_it(browser: httpx.AsyncClient) -> None:
    browser.cookies.set("session", "planted", domain="127.0.0.1")
    cookie = (await sign_in(browser)).headers.get_list("set-cookie")[0]
    assert "planted" not in cookie
    browser.cookies.clear()
    assert (await browser.get("/admin", headers={"Cookie": "session=planted"})).status_code == 303


async def test_a_second_login_ends_the_session_before_it(operator: httpx.AsyncClient) -> None:
    before = operator.cookies["session"]
    await sign_in(operator)
    assert operator.cookies["session"] != before
    assert await Session.all().count() == 1


async def test_signing_out_kills_the_session_on_the_server(operator: httpx.AsyncClient) -> None:
    token = operator.cookies["session"]
    answer = await operator.post("/admin/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/login")
    assert "session" not in operator.cookies
    assert (await operator.get("/admin", headers={"Cookie": f"session={token}"})).status_code == 303


async def test_a_session_ends_when_nobody_works_and_after_half_a_day(
    operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    for _ in range(ABSOLUTE_TIMEOUT // (IDLE_TIMEOUT / 2) - 1):
        clock.advance(IDLE_TIMEOUT / 2)
        assert (await operator.get("/admin")).status_code == 200
    clock.advance(IDLE_TIMEOUT / 2)
    assert (await operator.get("/admin")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": HTTP},
    ],
)
async def test_what_is_not_known_to_come_from_our_own_pages_is_refused(
    operator: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    del operator.headers["Sec-Fetch-Site"]
    for path in ("/admin/logout", "/admin/login"):
        data = {"username": "admin", "password": PASSWORD}
        assert (await operator.post(path, data=data, headers=headers)).status_code == 403
    assert (await operator.get("/admin")).status_code == 200
    assert (await operator.post("/admin/logout", headers={"Origin": HTTP})).status_code == 303


async def test_guessing_is_answered_with_when_to_come_back(browser: httpx.AsyncClient, clock: FrozenClock) -> None:
    for _ in range(FREE_TRIES):
        assert (await sign_in(browser, "a wrong password")).status_code == 403
    answer = await sign_in(browser)  # even the right one has to wait
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert "Please wait 2 seconds" in answer.text
    clock.advance(timedelta(seconds=2))
    assert (await sign_in(browser)).status_code == 303
    for _ in range(FREE_TRIES):
        assert (await sign_in(browser, "a wrong password")).status_code == 403


async def test_strangers_who_guess_do_not_lock_the_owner_out(desk: Desk, operator: httpx.AsyncClient) -> None:
    await operator.post("/admin/logout")
    for number in range(STRANGERS_A_MINUTE + 1):
        async with desk.browser(f"198.51.100.{number}") as stranger:
            answer = await sign_in(stranger, "a wrong password")
    assert answer.status_code == 429  # strangers are throttled, whichever address they come from
    assert (await sign_in(operator)).status_code == 303
    async with desk.browser() as new:  # another browser on a network that signed in before
        assert (await sign_in(new)).status_code == 303


async def test_an_owner_at_a_new_browser_and_network_gets_in_beside_a_guesser(desk: Desk, clock: FrozenClock) -> None:
    async with desk.browser("198.51.100.1") as guesser:
        for _ in range(300):
            await sign_in(guesser, "a wrong password")
            clock.advance(timedelta(seconds=1))
        async with desk.browser("203.0.113.9") as owner:
            assert (await sign_in(guesser, "a wrong password")).status_code == 429
            assert (await sign_in(owner)).status_code == 303


async def test_a_network_counts_as_known_for_half_a_year_and_for_its_own_account(
    desk: Desk, browser: httpx.AsyncClient, clock: FrozenClock
) -> None:
    await create_account("other", PASSWORD, clock.now())
    assert (await sign_in(browser)).status_code == 303

    async def answer_beside_a_crowd(username: str) -> int:
        for number in range(STRANGERS_A_MINUTE + 1):
            async with desk.browser(f"198.51.100.{number}") as stranger:
                await sign_in(stranger, "a wrong password", username)
        async with desk.browser() as new:
            return (await sign_in(new, "a wrong password", username)).status_code

    assert await answer_beside_a_crowd("other") == 429
    assert await answer_beside_a_crowd("admin") == 403
    clock.advance(timedelta(days=181))
    assert await answer_beside_a_crowd("admin") == 429


async def test_who_guesses_codes_does_not_keep_out_a_browser_that_signed_in_before(
    desk: Desk, operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    secret = new_secret()
    assert await switch_on(desk.cipher, "admin", secret, pyotp.TOTP(secret).at(clock.now()), clock.now())
    clock.advance(timedelta(seconds=30))
    async with desk.browser("198.51.100.1") as thief:
        await sign_in(thief)
        codes = [(await thief.post("/admin/login/code", data={"code": "000000"})).status_code for _ in range(6)]
        assert codes == [403] * FREE_TRIES + [429]
    await sign_in(operator)
    answer = await operator.post("/admin/login/code", data={"code": pyotp.TOTP(secret).at(clock.now())})
    assert answer.headers["location"] == "/admin"


async def test_a_mark_of_another_account_or_of_nobody_s_making_counts_for_nothing(
    desk: Desk, operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    await create_account("other", PASSWORD, clock.now())
    async with desk.browser("198.51.100.8") as stranger:
        for _ in range(FREE_TRIES):
            await sign_in(stranger, "a wrong password", "other")
    forged = "WyJvdGhlciIsIngiXQ.AAAA"  # ["other","x"]
    for mark in (operator.cookies["known"], forged):
        async with desk.browser("198.51.100.8") as stranger:
            stranger.cookies.set("known", mark, domain="127.0.0.1")
            assert (await sign_in(stranger, "a wrong password", "other")).status_code == 429


async def test_a_login_that_worked_is_forgiving(browser: httpx.AsyncClient) -> None:
    for _ in range(FREE_TRIES - 1):
        await sign_in(browser, "a wrong password")
    assert (await sign_in(browser)).status_code == 303
    browser.cookies.clear()
    assert (await sign_in(browser, "a wrong password")).status_code == 403
    assert (await sign_in(browser)).status_code == 303
