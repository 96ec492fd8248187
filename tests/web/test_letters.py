"""Writing a letter, looking where it is, calling it back: the pages."""

import html
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from app.domain.letter import BODY_LIMIT
from app.domain.status import HeldReason, Status
from app.store.models import Delivery, Letter
from app.web.form_parsing import _MOST_FIELDS
from app.web.security import BODY_LIMIT as BYTES
from app.wiring import Services
from tests.web.requests import LETTER, post, posted

pytestmark = pytest.mark.anyio


async def test_the_form_names_the_days_of_arrival(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert "arrives in 7 days, and once more in 30 days" in page
    assert "Thursday, 8 January 2026, 18:30" in page  # half past nine in the morning, in Seoul
    assert "Saturday, 31 January 2026, 18:30" in page


async def test_the_whole_form_is_light(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    parts = [await client.get(html.unescape(path)) for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', page)]
    assert len(parts) == 3
    assert len(page.encode()) + sum(len(part.content) for part in parts) < 70_000
    assert "http:" not in page.replace("http://www.w3.org", "")
    assert "https:" not in page


async def test_a_letter_is_posted_and_its_page_says_when_it_arrives(
    client: httpx.AsyncClient, services: Services
) -> None:
    fields = {"subject": "The sea", "recipient_name": "Sujin", "sender_name": "Jun", "timezone": "Europe/Lisbon"}
    token = await posted(client, **fields)
    stored = await services.letters.find(token)
    assert (stored.draft.body, stored.draft.subject) == (LETTER["body"], "The sea")
    assert (stored.draft.timezone, stored.draft.language) == ("Europe/Lisbon", "en")
    page = await client.get(f"/letters/{token}")
    assert page.status_code == 200
    for words in (
        "is in the box",
        "Thursday, 8 January 2026, 09:30",
        "Saturday, 31 January 2026, 09:30",
        "Sujin",
        "The sea",
    ):
        assert words in page.text
    assert LETTER["body"] in page.text, "it is not sealed yet"


async def test_multipart_is_a_form_too(client: httpx.AsyncClient, services: Services) -> None:
    answer = await client.post("/letters", files={name: (None, text) for name, text in LETTER.items()})
    token = answer.headers["location"].rpartition("/")[2]
    assert (await services.letters.find(token)).draft.body == LETTER["body"]


async def test_bytes_that_a_terminal_sends_unescaped_arrive(client: httpx.AsyncClient, services: Services) -> None:
    body = "recipient_email=sujin@example.org&body=안녕, 수진아".encode()
    answer = await client.post("/letters", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    token = answer.headers["location"].rpartition("/")[2]
    assert (await services.letters.find(token)).draft.body == "안녕, 수진아"


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_what_is_wrong_is_said_beside_its_field_and_nothing_typed_is_lost(
    client: httpx.AsyncClient, language: str
) -> None:
    typed = {
        "recipient_email": "a@b@c",
        "recipient_name": '<script>"수진"',
        "subject": "s" * 201,
        "body": "\n\n  line\r\n</textarea>\u0007",
        "sender_name": "Jun & co",
        "sender_email": "준@example.org",
        "timezone": "Mars/Olympus",
    }
    answer = await client.post("/letters", data=typed, headers={"Accept-Language": language})
    assert answer.status_code == 422
    assert await Letter.all().count() == 0
    for name in ("recipient_email", "subject", "body", "sender_email", "timezone"):
        field = re.search(rf'<(?:input|textarea|select) id="{name}".*?>', answer.text, re.DOTALL)
        assert field
        assert 'aria-invalid="true"' in field[0]
        assert re.search(rf'aria-describedby="[^"]*\b{name}-error"', field[0])
        assert f'id="{name}-error"' in answer.text
        assert f'href="#{name}"' in answer.text
    for name in ("recipient_email", "recipient_name", "subject", "sender_name", "sender_email"):
        value = re.search(rf'id="{name}"[^>]*? value="(.*?)"', answer.text)
        assert value
        assert html.unescape(value[1]) == typed[name]
    kept = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", answer.text, re.DOTALL)
    assert kept
    assert html.unescape(kept[1]).replace("\r\n", "\n") == typed["body"].replace("\r\n", "\n")
    assert f'<html lang="{language}">' in answer.text


@pytest.mark.parametrize(
    "body",
    ["가" * BODY_LIMIT, "👨‍👩‍👧‍👦" * 1000, "שלום\n.\nFrom me\n..", "{{ 7 * 7 }} {% raw %} %(x)s", "a" * BODY_LIMIT],
    ids=["long", "emoji", "odd lines", "template", "ascii"],
)
async def test_a_letter_is_stored_exactly_as_written(client: httpx.AsyncClient, services: Services, body: str) -> None:
    assert (await services.letters.find(await posted(client, body=body))).draft.body == body


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"recipient_email=a%40b.org&body=%ED%A0%80", "application/x-www-form-urlencoded", 400),
        (b"recipient_email=a%40b.org&body=\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"body=a&body=b", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"f%d=1" % n for n in range(5000)), "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 422),
        (b"%", "application/x-www-form-urlencoded", 422),
        (b"{}", "application/json", 415),
        (b"body=a", "text/plain", 415),
        (b"body=a", "", 415),
        (b"nonsense", "multipart/form-data; boundary=x", 400),
        (b"nonsense", "multipart/form-data", 400),
        (b"\xff", "multipart/mixed; boundary=x", 415),
        (
            b'--x\r\nContent-Disposition: form-data; name="body"\r\n\r\n\xff\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="body"; filename="a"\r\n\r\na\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n' * (_MOST_FIELDS + 1) + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            400,
        ),
    ],
)
async def test_a_body_that_is_no_letter_gets_one_clear_page(
    client: httpx.AsyncClient, content: bytes, kind: str, status: int
) -> None:
    answer = await client.post("/letters", content=content, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == status
    assert "<h1>" in answer.text
    assert await Letter.all().count() == 0


async def test_a_body_over_the_limit_gets_413(client: httpx.AsyncClient) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.post("/letters", content=b"a" * (BYTES + 1), headers=form)).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"a" * (BYTES // 16)

    answer = await client.post("/letters", content=chunks(), headers=form)
    assert answer.status_code == 413
    assert "too much for one envelope" in answer.text


async def test_a_body_over_the_letters_limit_is_kept(client: httpx.AsyncClient) -> None:
    answer = await post(client, body="가" * (BODY_LIMIT + 1))
    assert answer.status_code == 422
    assert "가" * (BODY_LIMIT + 1) in answer.text
    assert "20,001" in answer.text


async def test_an_unknown_letter_gets_a_kind_page(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/letters/nothing"), await client.post("/letters/nothing/withdraw")):
        assert answer.status_code == 404
        assert "Page not found" in answer.text


async def test_a_letter_is_called_back_after_a_question(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    question = await client.get(f"/letters/{token}/withdraw")
    assert "Call the letter back?" in question.text
    assert await Delivery.filter(status=Status.CANCELLED).count() == 0
    answer = await client.post(f"/letters/{token}/withdraw")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/letters/{token}")
    assert await Delivery.filter(status=Status.CANCELLED).count() == 2
    page = (await client.get(f"/letters/{token}")).text
    assert "was called back" in page
    assert f"/letters/{token}/withdraw" not in page


async def test_a_letter_that_left_cannot_be_called_back(client: httpx.AsyncClient, services: Services) -> None:
    token = await posted(client)
    await Delivery.all().update(status=Status.SENT, sent_at=services.clock.now())
    for answer in (await client.get(f"/letters/{token}/withdraw"), await client.post(f"/letters/{token}/withdraw")):
        assert answer.status_code == 409
        assert "too late" in answer.text


STATES = [
    (Status.SCHEDULED, None, "is in the box", "It waits in the box"),
    (Status.SENT, None, "has been sent", "It was sent on"),
    (Status.UNCERTAIN, None, "do not know whether", "answer was lost"),
    (Status.FAILED, None, "could not be delivered", "rejected it permanently"),
    (Status.CANCELLED, None, "was called back", "will not be sent"),
    (Status.HELD, HeldReason.OPERATOR, "held back", "by the operator"),
    (Status.HELD, HeldReason.FIRST_REFUSED, "held back", "the first one was rejected"),
    (Status.HELD, HeldReason.OVERDUE, "held back", "so late"),
    (Status.HELD, HeldReason.UNDELIVERABLE, "held back", "does not exist"),
    (Status.HELD, HeldReason.UNREADABLE, "held back", "by the operator"),
]


@pytest.mark.parametrize(("status", "reason", "title", "words"), STATES)
async def test_the_page_tells_the_truth(
    client: httpx.AsyncClient, services: Services, status: Status, reason: HeldReason | None, title: str, words: str
) -> None:
    token = await posted(client, body="수진아")
    sent_at = services.clock.now() if status is Status.SENT else None
    await Delivery.all().update(status=status, held_reason=reason, sent_at=sent_at)
    page = (await client.get(f"/letters/{token}")).text
    assert title in page
    assert page.count(words) == 2
    korean = await client.get(f"/letters/{token}", headers={"Accept-Language": "ko"})
    assert not set(
        re.findall(r"[A-Za-z]{4,}", re.sub(r"<style.*?</style>|<[^>]+>", "", korean.text, flags=re.DOTALL))
    ) - {
        "English",
        "sujin",
        "example",
    }


async def test_the_page_tells_of_another_try(client: httpx.AsyncClient) -> None:
    token = await posted(client)
    await Delivery.all().update(attempts=1)
    assert "We try again on" in (await client.get(f"/letters/{token}")).text


async def test_the_page_tells_that_the_time_has_come(client: httpx.AsyncClient, services: Services) -> None:
    token = await posted(client)
    await Delivery.filter(occasion="first").update(due_at=services.clock.now())
    assert "It is due and will be sent" in (await client.get(f"/letters/{token}")).text


async def test_reloading_the_address_of_a_form_with_errors_leads_to_the_form(client: httpx.AsyncClient) -> None:
    answer = await client.get("/letters")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
