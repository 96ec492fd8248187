"""Finding deliveries by the form of the list: what is wrong is said beside it, and no address comes into a URL."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.domain.status import HeldReason, Status
from app.store.models import Delivery, Letter
from tests.clock import NEW_YEAR as NOW
from tests.web.admin.browser import Desk

pytestmark = pytest.mark.anyio

LIST = "/admin/deliveries"
MINJI = "minji+letters@example.org"


async def _find(operator: httpx.AsyncClient, **fields: str | list[str]) -> httpx.Response:
    return await operator.post(LIST, data=fields)


async def _for(desk: Desk, address: str) -> Delivery:
    """Add a delivery that is found by its address, as a posted one is."""
    delivery = await desk.ledger.add(Status.SCHEDULED, NOW, reader=address)
    address_hmac, domain = desk.cipher.address_hmac(address), desk.cipher.domain_hmac(address)
    await Letter.filter(id=delivery.letter_id).update(recipient_hmac=address_hmac, recipient_domain_hmac=domain)
    await Delivery.filter(id=delivery.id).update(domain_hmac=domain)
    return delivery


@pytest.mark.parametrize(
    ("whom", "words", "shown"),
    [
        ("minji@EXAMPLE.org", "for m…@example.org", 1),
        (" minji@example.org ", "for m…@example.org", 1),
        ("example.org", "for all at example.org", 2),
        ("@example.org", "for all at example.org", 2),
        ("nobody@example.org", "for one address or domain", 0),
    ],
)
async def test_who_is_looked_for_is_posted_and_never_stands_in_a_url(
    desk: Desk, operator: httpx.AsyncClient, whom: str, words: str, shown: int
) -> None:
    await _for(desk, MINJI)
    await _for(desk, "jun@example.org")
    await _for(desk, "ann@example.net")
    answer = await _find(operator, whom=whom, state=["scheduled", "held"])
    assert answer.status_code == 303
    target = answer.headers["location"]
    assert re.fullmatch("(address|domain)-[0-9a-f]{32}", parse_qs(urlsplit(target).query)["to"][0])
    assert not re.search("minji|example|nobody|%40|@", target, re.IGNORECASE)
    text = (await operator.get(target)).text
    assert words in text
    assert text.count("data-state=") == shown


async def test_what_is_held_is_found_by_why_and_today_leads_there(desk: Desk, operator: httpx.AsyncClient) -> None:
    for reason in HeldReason:
        held = await desk.ledger.add(Status.HELD, NOW)
        unconfirmed = {"awaited_hmac": "a" * 32} if reason == HeldReason.UNCONFIRMED else {}
        await Delivery.filter(id=held.id).update(held_reason=reason, **unconfirmed)
    today = (await operator.get("/admin")).text
    for reason in HeldReason:
        target = f"{LIST}?reason={reason}"
        assert f'href="{target}"' in today
        text = (await operator.get(target)).text
        assert text.count("data-state=") == 1
        assert f'value="{reason}" checked' in text
    answer = await _find(operator, reason=["overdue", "unreadable"], order="latest")
    text = (await operator.get(answer.headers["location"])).text
    assert "too late, cannot be decrypted" in text
    assert text.count("data-state=") == 2
    assert "reason" not in text[text.index('class="choices"') : text.index("</nav>", text.index('class="choices"'))]


async def test_what_was_looked_for_stays_until_it_is_taken_out(desk: Desk, operator: httpx.AsyncClient) -> None:
    await _for(desk, MINJI)
    target = (await _find(operator, whom=MINJI)).headers["location"]
    to = parse_qs(urlsplit(target).query)["to"][0]
    assert f'value="{to}" checked' in (await operator.get(target)).text
    narrower = (await _find(operator, to=to, state="held")).headers["location"]
    assert parse_qs(urlsplit(narrower).query) == {"to": [to], "state": ["held"]}
    another = (await _find(operator, to=to, whom="jun@example.org")).headers["location"]
    assert parse_qs(urlsplit(another).query)["to"] != [to]


async def test_all_that_is_chosen_stands_in_the_address(operator: httpx.AsyncClient) -> None:
    answer = await _find(
        operator,
        state=["held", "failed"],
        occasion="first",
        since="2026-01-01T18:30",
        until="2026-01-02T18:30",
        message_id="abc@slow.test",
        order="latest",
        whom="",
    )
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query == {
        "state": ["held", "failed"],
        "occasion": ["first"],
        "since": ["2026-01-01T09:30Z"],
        "until": ["2026-01-02T09:30Z"],
        "message_id": ["<abc@slow.test>"],
        "order": ["latest"],
    }
    text = (await operator.get(answer.headers["location"])).text
    for shown in ('value="2026-01-01T18:30"', 'value="&lt;abc@slow.test&gt;"', 'value="held" checked', "selected"):
        assert shown in text
    assert "0 found · Held, Failed · Letter, first time · from Thu 1 Jan 2026, 18:30 on" in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("since", "tomorrow", "This is not a valid time"),
        ("until", "2020-01-01", "The end must be later"),
        ("message_id", "a b", "This is not a Message-ID"),
        ("whom", "a@b@c", "This is neither an address nor a domain"),
        ("whom", "not a domain", "This is neither an address nor a domain"),
    ],
)
async def test_what_is_wrong_is_said_beside_it_and_all_else_is_kept(
    operator: httpx.AsyncClient, field: str, typed: str, words: str
) -> None:
    good = {"since": "2026-01-01T09:30", "message_id": "<m@slow.test>", "whom": "minji@example.org", "state": "held"}
    answer = await _find(operator, **good | {field: typed})
    assert answer.status_code == 422
    assert re.search(f'id="{field}-error">.*{words}', answer.text)
    assert (
        f'aria-describedby="{"whom-hint " if field == "whom" else ""}{field}-error" aria-invalid="true"' in answer.text
    )
    assert f'value="{typed}"' in answer.text
    assert 'value="held" checked' in answer.text
    assert "data-state" not in answer.text
    if field != "message_id":
        assert 'value="&lt;m@slow.test&gt;"' in answer.text


@pytest.mark.parametrize("query", ["state=secret", "occasion=third", "to=minji", "since=never"])
async def test_an_address_that_was_changed_by_hand_is_told_so(operator: httpx.AsyncClient, query: str) -> None:
    answer = await operator.get(f"{LIST}?{query}")
    assert answer.status_code == 422
    assert f'id="{query.partition("=")[0]}-error"' in answer.text


async def test_the_order_can_be_turned(desk: Desk, operator: httpx.AsyncClient) -> None:
    for hour in range(3):
        await desk.ledger.add(Status.SCHEDULED, NOW + timedelta(hours=hour))
    for order, turned in (("", False), ("&order=earliest", False), ("&order=latest", True)):
        text = (await operator.get(f"{LIST}?state=scheduled{order}")).text
        seen = re.findall(r'<time datetime="([^"]*)"', text)
        assert seen == sorted(seen, reverse=turned)


async def test_a_narrowed_list_without_rows_leads_back_to_everything(operator: httpx.AsyncClient) -> None:
    assert "Show all" in (await operator.get(f"{LIST}?state=held")).text
    assert "Show all" not in (await operator.get(LIST)).text
