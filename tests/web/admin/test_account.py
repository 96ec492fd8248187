"""One's own account: the second factor at the login, another password, other sessions."""

import re
from datetime import timedelta

import httpx
import pyotp
import pytest

from app.store.second_factor import remove
from app.store.trail import entries
from app.web.throttle import FREE_TRIES
from tests.clock import FrozenClock
from tests.web.admin.desk import HTTP, PASSWORD, Desk, open_desk, sign_in

pytestmark = pytest.mark.anyio

STEP = timedelta(seconds=30)


async def _enrol(operator: httpx.AsyncClient, clock: FrozenClock) -> tuple[pyotp.TOTP, list[str]]:
    page = (await operator.get("/admin/account/second-factor")).text
    assert "<svg" in page
    key = re.search(r'class="literal">([A-Z2-7 ]+)<', page)
    assert key
    totp = pyotp.TOTP(key[1].replace(" ", ""))
    wrong = await operator.post("/admin/account/second-factor", data={"code": "000000"})
    assert wrong.status_code == 422
    done = await operator.post("/admin/account/second-factor", data={"code": totp.at(clock.now())})
    codes = re.findall(r'<li class="literal">([a-z0-9-]+)</li>', done.text)
    assert len(codes) == 10
    clock.advance(STEP)
    return totp, codes


async def test_with_a_second_factor_the_password_alone_opens_nothing(
    desk: Desk, operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    totp, codes = await _enrol(operator, clock)
    async with desk.browser("192.0.2.8") as browser:
        assert (await browser.get("/admin/login/code")).headers["location"] == "/admin/login"
        assert (await sign_in(browser)).headers["location"] == "/admin/login/code"
        assert "session" not in browser.cookies
        assert (await browser.get("/admin")).headers["location"] == "/admin/login"
        code = totp.at(clock.now())
        assert (await browser.post("/admin/login/code", data={"code": "123456"})).status_code == 403
        assert (await browser.post("/admin/login/code", data={"code": code})).headers["location"] == "/admin"
        assert (await browser.get("/admin")).status_code == 200
    async with desk.browser("192.0.2.9") as browser:
        await sign_in(browser)
        assert (await browser.post("/admin/login/code", data={"code": code})).status_code == 403  # was used
        assert (await browser.post("/admin/login/code", data={"code": codes[0]})).headers["location"] == "/admin"
    assert [entry.action for entry in await entries()] == [
        *("sign_in", "recovery_code", "refused", "sign_in", "refused"),
        *("second_factor_on", "sign_in"),
    ]


async def test_codes_are_guessed_slowly_and_the_proof_of_the_password_does_not_last(
    desk: Desk, operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    totp, _ = await _enrol(operator, clock)
    for number in range(FREE_TRIES):
        async with desk.browser(f"198.51.100.{number}") as stranger:
            await sign_in(stranger)
            assert (await stranger.post("/admin/login/code", data={"code": "123456"})).status_code == 403
    async with desk.browser("198.51.100.200") as stranger:
        await sign_in(stranger)
        answer = await stranger.post("/admin/login/code", data={"code": totp.at(clock.now())})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        clock.advance(timedelta(minutes=5))
        late = await stranger.post("/admin/login/code", data={"code": totp.at(clock.now())})
        assert late.headers["location"] == "/admin/login"


async def test_a_proof_for_another_password_opens_nothing(
    desk: Desk, operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    totp, _ = await _enrol(operator, clock)
    async with desk.browser("192.0.2.8") as thief:
        await sign_in(thief)
        data = {"current": PASSWORD, "new": "another horse battery"}
        assert (await operator.post("/admin/account/password", data=data)).status_code == 303
        answer = await thief.post("/admin/login/code", data={"code": totp.at(clock.now())})
        assert answer.headers["location"] == "/admin/login"


async def test_it_is_switched_off_by_a_code_and_by_the_command_line(
    operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    totp, _ = await _enrol(operator, clock)
    remove_it = "/admin/account/second-factor/remove"
    assert (await operator.post(remove_it, data={"code": "123456"})).status_code == 422
    assert (await operator.post(remove_it, data={"code": totp.at(clock.now())})).status_code == 303
    assert "Set it up" in (await operator.get("/admin/account")).text
    await _enrol(operator, clock)
    await remove("admin")  # as `slow-mailbox admin reset` does
    assert "Set it up" in (await operator.get("/admin/account")).text


async def test_where_it_is_required_nobody_works_without_it(sqlite_url: str, clock: FrozenClock) -> None:
    async with open_desk(sqlite_url, clock, HTTP, admin_second_factor="required") as desk, desk.browser() as browser:
        await sign_in(browser)
        for path in ("/admin", "/admin/deliveries", "/admin/trail"):
            assert (await browser.get(path)).headers["location"] == "/admin/account/second-factor"
        assert (await browser.post("/admin/sending/pause")).headers["location"] == "/admin/account/second-factor"
        assert "It is required here." in (await browser.get("/admin/account")).text
        await _enrol(browser, clock)
        assert (await browser.get("/admin")).status_code == 200


async def test_another_password_ends_the_other_sessions(desk: Desk, operator: httpx.AsyncClient) -> None:
    async with desk.browser("192.0.2.8") as other:
        await sign_in(other)
        path = "/admin/account/password"
        wrong = await operator.post(path, data={"current": "a wrong password", "new": "another horse battery"})
        assert "This is not your password." in wrong.text
        short = await operator.post(path, data={"current": PASSWORD, "new": "short"})
        assert "12 to 128" in short.text
        guessed = await operator.post(path, data={"current": PASSWORD, "new": "password1234"})
        assert "first passwords that are guessed" in guessed.text
        assert (await other.get("/admin")).status_code == 200
        await operator.post(path, data={"current": PASSWORD, "new": "another horse battery"})
        assert (await other.get("/admin")).headers["location"] == "/admin/login"
        assert (await operator.get("/admin")).status_code == 200
        assert (await sign_in(other)).status_code == 403
        assert (await sign_in(other, "another horse battery")).status_code == 303


async def test_one_sees_and_ends_one_s_other_sessions(desk: Desk, operator: httpx.AsyncClient) -> None:
    async with desk.browser("192.0.2.8") as other:
        await sign_in(other)
        assert (await operator.get("/admin/account")).text.count("last seen") == 2
        await operator.post("/admin/account/sessions/end")
        assert (await other.get("/admin")).headers["location"] == "/admin/login"
        assert (await operator.get("/admin/account")).text.count("last seen") == 1
        assert (await entries())[0].action == "end_sessions"
