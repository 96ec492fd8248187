"""One's own account: the second factor at the login, another password, other sessions."""

import re
from datetime import timedelta

import httpx
import pyotp
import pytest

from app.crypto import token_hash
from app.store.accounts import reset_password
from app.store.audit_log import audit_entries
from app.store.models import Account, Session
from app.store.second_factor import is_on, remove
from app.web.admin.login_throttle import FREE_TRIES
from tests.clock import FrozenClock
from tests.web.admin.browser import HTTP, PASSWORD, Desk, open_desk, sign_in

pytestmark = pytest.mark.anyio

STEP = timedelta(seconds=30)


SETUP = "/admin/account/second-factor"


async def _propose(operator: httpx.AsyncClient) -> tuple[pyotp.TOTP, dict[str, str]]:
    """Give the password again; return what the page proposes, and the form's hidden field."""
    page = (await operator.post(SETUP, data={"password": PASSWORD})).text
    assert "<svg" in page
    key = re.search(r'class="literal">([A-Z2-7 ]+)<', page)
    proposal = re.search(r'name="proposal" value="([^"]+)"', page)
    assert key
    assert proposal
    return pyotp.TOTP(key[1].replace(" ", "")), {"proposal": proposal[1]}


async def _enrol(operator: httpx.AsyncClient, clock: FrozenClock) -> tuple[pyotp.TOTP, list[str]]:
    totp, form = await _propose(operator)
    wrong = await operator.post(f"{SETUP}/confirm", data=form | {"code": "000000"})
    assert wrong.status_code == 422
    done = await operator.post(f"{SETUP}/confirm", data=form | {"code": totp.at(clock.now())})
    codes = re.findall(r'<li class="literal">([a-z0-9-]+)</li>', done.text)
    assert len(codes) == 10
    clock.advance(STEP)
    return totp, codes


async def test_a_second_factor_is_set_up_after_the_password_alone(
    operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    asked = (await operator.get(SETUP)).text
    assert 'type="password"' in asked
    assert "<svg" not in asked
    for password in ("", "a wrong password"):
        refused = await operator.post(SETUP, data={"password": password})
        assert refused.status_code == 422
        assert "This is not your current password." in refused.text
        assert "<svg" not in refused.text
    secret = pyotp.random_base32()
    for proposal in ("", "forged", secret):
        data = {"proposal": proposal, "secret": secret, "code": pyotp.TOTP(secret).at(clock.now())}
        assert "<svg" not in (await operator.post(f"{SETUP}/confirm", data=data)).text
    assert not await is_on("admin")


async def test_a_proposed_secret_is_new_each_time_and_for_one_session(
    desk: Desk, operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    totp, form = await _propose(operator)
    async with desk.browser("192.0.2.8") as other:
        await sign_in(other)
        others, _ = await _propose(other)
        assert others.secret != totp.secret
        await other.post(f"{SETUP}/confirm", data=form | {"code": totp.at(clock.now())})
    assert (await _propose(operator))[0].secret != totp.secret
    clock.advance(timedelta(minutes=11))
    await operator.post(f"{SETUP}/confirm", data=form | {"code": totp.at(clock.now())})
    assert not await is_on("admin")


async def test_a_proposed_secret_does_not_outlive_the_password(operator: httpx.AsyncClient, clock: FrozenClock) -> None:
    totp, form = await _propose(operator)
    session = operator.cookies["session"]
    await reset_password("admin", "another horse battery")
    await Session.create(
        token_hash=token_hash(session), account=await Account.get(), created_at=clock.now(), seen_at=clock.now()
    )  # even if the session itself had outlived it
    await operator.post(f"{SETUP}/confirm", data=form | {"code": totp.at(clock.now())})
    assert not await is_on("admin")


async def test_sessions_from_before_the_second_factor_end_and_one_s_own_is_renewed(
    desk: Desk, operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    async with desk.browser("192.0.2.8") as thief:
        await sign_in(thief)
        before = operator.cookies["session"]
        await _enrol(operator, clock)
        assert (await thief.get("/admin")).headers["location"] == "/admin/login"
        assert operator.cookies["session"] != before
        assert (await operator.get("/admin")).status_code == 200
        assert (await operator.get("/admin", headers={"Cookie": f"session={before}"})).status_code == 303


async def test_passwords_are_guessed_slowly_with_a_stolen_session(operator: httpx.AsyncClient) -> None:
    paths = (SETUP, "/admin/account/password")
    for number in range(FREE_TRIES):
        wrong = {"password": "a wrong password", "current": "a wrong password"}
        assert (await operator.post(paths[number % 2], data=wrong)).status_code == 422
    for path in paths:
        answer = await operator.post(path, data={"password": PASSWORD, "current": PASSWORD})
        assert "Too many attempts" in answer.text


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
    assert [entry.action for entry in await audit_entries()] == [
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


async def test_it_is_switched_off_by_password_and_code_and_by_the_command_line(
    operator: httpx.AsyncClient, clock: FrozenClock
) -> None:
    totp, _ = await _enrol(operator, clock)
    remove_it, code = "/admin/account/second-factor/remove", totp.at(clock.now())
    assert (await operator.post(remove_it, data={"code": "123456", "password": PASSWORD})).status_code == 422
    for password in ("", "a wrong password"):
        assert (await operator.post(remove_it, data={"code": code, "password": password})).status_code == 422
    assert await is_on("admin")
    assert (await operator.post(remove_it, data={"code": code, "password": PASSWORD})).status_code == 303
    assert "Set up" in (await operator.get("/admin/account")).text
    await _enrol(operator, clock)
    await remove("admin")  # as `slow-mailbox admin reset` does
    await sign_in(operator)
    assert "Set up" in (await operator.get("/admin/account")).text


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
        assert "This is not your current password." in wrong.text
        short = await operator.post(path, data={"current": PASSWORD, "new": "short"})
        assert "12 to 128" in short.text
        guessed = await operator.post(path, data={"current": PASSWORD, "new": "password1234"})
        assert "easy to guess" in guessed.text
        assert (await other.get("/admin")).status_code == 200
        before = operator.cookies["session"]
        await operator.post(path, data={"current": PASSWORD, "new": "another horse battery"})
        assert (await other.get("/admin")).headers["location"] == "/admin/login"
        assert operator.cookies["session"] != before
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
        assert (await audit_entries())[0].action == "end_sessions"
