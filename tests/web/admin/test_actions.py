"""Actions at the desk: asked about first, done once, told on the trail; pausing; another address."""

import asyncio
import re
from datetime import timedelta

import httpx
import pytest

from app.delivery.bulk_actions import BulkActions
from app.domain.status import Status
from app.store import pauses
from app.store.audit_log import audit_entries, delivery_events
from app.store.models import Delivery, Letter
from tests.clock import NEW_YEAR as NOW
from tests.web.admin.browser import Desk, sign_in

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


def _fields(page: str) -> dict[str, str]:
    found = re.search(r'<form class="actions" action="/admin/actions".*?</form>', page, re.DOTALL)
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', found[0])) if found else {}


async def test_the_question_names_the_number_and_nothing_has_happened_yet(
    desk: Desk, operator: httpx.AsyncClient
) -> None:
    held = [await desk.ledger.add(Status.HELD, NOW) for _ in range(3)]
    await desk.ledger.add(Status.SENT, NOW)
    one = await operator.get(f"/admin/actions/ask?action=release&meant=chosen&id={held[0].id}")
    assert "This affects 1 delivery." in one.text
    every = await operator.get("/admin/actions/ask?action=release&meant=all")
    assert "This affects 3 deliveries." in every.text
    assert await Delivery.filter(status=Status.HELD).count() == 3
    assert "Select some" in (await operator.get("/admin/actions/ask?action=release&meant=chosen")).text
    assert "None of these" in (await operator.get("/admin/actions/ask?action=resend&meant=all")).text


async def test_one_is_released_by_a_click_and_a_second_click_does_nothing(
    desk: Desk, operator: httpx.AsyncClient
) -> None:
    held = await desk.ledger.add(Status.HELD, NOW)
    other = await desk.ledger.add(Status.HELD, NOW)
    question = await operator.get(f"/admin/actions/ask?action=release&id={held.id}")
    fields = _fields(question.text)
    first, second = [await operator.post("/admin/actions", data=fields) for _ in range(2)]
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"] == f"/admin/actions/{fields['key']}"
    assert "Done: 1 delivery was changed." in (await operator.get(first.headers["location"])).text
    assert (await Delivery.get(id=held.id)).status is Status.SCHEDULED
    assert (await Delivery.get(id=other.id)).status is Status.HELD
    newest, *before = await audit_entries()
    assert (newest.who, newest.client, newest.action, newest.asked, newest.changed) == (
        ("admin", "192.0.2.7", "release", 1, 1)
    )
    assert [entry.action for entry in before] == ["sign_in"]
    assert [touch.who for touch in await delivery_events(held.id)] == ["admin"]
    assert "Release" in (await operator.get(f"/admin/deliveries/{held.id}")).text
    assert desk.woken


async def test_all_that_match_are_many(desk: Desk, operator: httpx.AsyncClient) -> None:
    """More than one batch: what the answer does not wait for goes on behind it."""
    await desk.ledger.multiply(await desk.ledger.add(Status.HELD, NOW), 599)
    await desk.bulk_actions.__aexit__(None, None, None)  # this process stops; the next one goes on
    fields = _fields((await operator.get("/admin/actions/ask?action=cancel&meant=all&state=held")).text)
    assert fields["asked"] == "600"
    answer = await operator.post("/admin/actions", data=fields)
    going_on = await operator.get(answer.headers["location"])
    assert "500 of 600 checked, 500 changed" in going_on.text
    assert 'data-refresh="1"' in going_on.text
    ended = asyncio.Event()
    async with BulkActions(desk.clock, ended.set):
        await ended.wait()
    assert "Done: 600 deliveries were changed." in (await operator.get(answer.headers["location"])).text
    assert await Delivery.filter(status=Status.CANCELLED).count() == 600
    trail = (await operator.get("/admin/trail")).text
    assert "Cancel permanently" in trail
    assert "600 deliveries" in trail


async def test_what_changed_since_the_question_is_told(desk: Desk, operator: httpx.AsyncClient) -> None:
    held = [await desk.ledger.add(Status.HELD, NOW) for _ in range(2)]
    ids = "&".join(f"id={each.id}" for each in held)
    fields = _fields((await operator.get(f"/admin/actions/ask?action=release&{ids}")).text)
    await Delivery.filter(id=held[0].id).update(status=Status.CANCELLED, held_reason=None)
    answer = await operator.post("/admin/actions", data=fields)
    text = (await operator.get(answer.headers["location"])).text
    assert "Done: 1 delivery was changed." in text
    assert "2 matched when you confirmed." in text


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "explode"},
        {"asked": "-1"},
        {"asked": "many"},
        {"asked": "9" * 5000},
        {"chosen": "1,x"},
        {"chosen": "1" * 30},
        {"chosen": "", "selection": "state=nowhere"},
        {"key": "no key"},
    ],
)
async def test_what_our_pages_never_send_is_refused(
    desk: Desk, operator: httpx.AsyncClient, fields: dict[str, str]
) -> None:
    held = await desk.ledger.add(Status.HELD, NOW)
    good = _fields((await operator.get(f"/admin/actions/ask?action=release&id={held.id}")).text)
    assert (await operator.post("/admin/actions", data=good | fields)).status_code in (400, 404)
    assert (await Delivery.get(id=held.id)).status is Status.HELD


@pytest.mark.parametrize("path", ["/admin/trail", "/admin/sending", "/admin/actions/ask?action=hold"])
async def test_nobody_does_or_reads_anything_without_having_signed_in(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(path)).headers["location"] == "/admin/login"
    for post in ("/admin/actions", "/admin/sending/pause", "/admin/sending/resume", "/admin/deliveries/1/address"):
        assert (await browser.post(post, data={})).headers["location"] == "/admin/login"
    assert await pauses.paused() is None


async def test_pausing_is_shown_on_every_page_until_sending_goes_on(desk: Desk, operator: httpx.AsyncClient) -> None:
    assert "Pause all sending?" in (await operator.get("/admin/sending")).text
    assert (await operator.post("/admin/sending/pause")).headers["location"] == "/admin"
    for path in ("/admin", "/admin/deliveries", "/admin/trail", "/admin/sending"):
        assert "All sending is paused." in (await operator.get(path)).text
    await operator.post("/admin/sending/resume")
    assert "All sending is paused." not in (await operator.get("/admin")).text
    assert desk.woken == ["scan"]
    assert [entry.action for entry in await audit_entries()] == ["resume", "pause", "sign_in"]


async def test_logins_that_were_refused_are_on_the_trail_without_what_was_typed(browser: httpx.AsyncClient) -> None:
    await sign_in(browser, "a wrong password")
    await sign_in(browser, "admin", "correct horse battery")
    assert [(entry.action, entry.who) for entry in await audit_entries()] == [
        ("refused", "an unknown name"),
        ("refused", "admin"),
    ]


async def test_a_letter_is_given_another_address(desk: Desk, operator: httpx.AsyncClient) -> None:
    failed = await desk.ledger.add(Status.FAILED, NOW)
    path = f"/admin/deliveries/{failed.id}/address"
    assert "New address of the reader" in (await operator.get(path)).text
    wrong = await operator.post(path, data={"recipient_email": "nobody at all"})
    assert wrong.status_code == 422
    assert 'value="nobody at all"' in wrong.text
    answer = await operator.post(path, data={"recipient_email": "mina@example.com"})
    assert answer.headers["location"] == f"/admin/deliveries/{failed.id}"
    assert (await Delivery.get(id=failed.id)).status is Status.SCHEDULED
    letter = (await Letter.filter(id=failed.letter_id).values())[0]
    assert desk.cipher.open_letter(letter)["recipient_email"] == "mina@example.com"
    newest = (await audit_entries())[0]
    assert (newest.action, newest.subject) == ("correct", str(failed.id))
    sent = await desk.ledger.add(Status.SENT, NOW)
    late = await operator.post(f"/admin/deliveries/{sent.id}/address", data={"recipient_email": "mina@example.com"})
    assert late.status_code == 409
    assert "This letter has no deliveries left." in late.text
