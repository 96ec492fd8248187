"""docs/standards.md P16: whatever a request says, the event loop stands still for no longer than 100 ms."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest

from app.delivery.bulk_actions import BulkActions
from app.settings import Settings
from app.store.accounts import create_account
from app.web.admin.login_throttle import LoginThrottle
from app.web.forms import FIELDS, HONEYPOT
from app.web.schemas import ChangeIn, LetterIn
from app.web.security import BODY_LIMIT
from app.wiring import Services
from tests.clock import FrozenClock
from tests.stalls import STALL_LIMIT, longest_stall
from tests.web.requests import BASE, LETTER, asking, posted

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(900)]

PASSWORD = "correct horse battery"
ALPHABETS = {
    "letters": "a",
    "syllables": "각",
    "flags": "\U0001f1f0",
    "flags and marks": "\U0001f1f0\u0301",
    "flags between letters": "a\U0001f1f0\U0001f1f7",
    "families": "👩\u200d👩\u200d👧\u200d👦",
    "joiners": "\u200d",
    "combining marks": "\u0301",
    "combining marks out of order": "\u0301\u0316",
    "leading consonants": "\u1100",
    "whole and half syllables": "\u1100\u1161\u11a8",
    "prepended signs": "\u0600",
    "conjuncts": "\u0915\u094d",
    "tags": "🏴\U000e0041",
    "variation selectors": "☺\ufe0f",
    "byte order marks": "\ufeff",
    "bidi marks": "\u202e",
    "ligatures": "\ufdfa",
    "NUL": "\0",
    "CR": "\r",
    "CR LF": "\r\n",
    "boundaries": "\r\n--xy",
    "at signs": "@",
    "dots": "a.",
    "commas": ",",
    "brackets": "<",
    "quotes": '"',
    "backslashes": "\\",
    "percent signs": "%",
    "escapes": "%41a",
    "ampersands": "&",
    "digits": "9",
    "spaces": " ",
    "hyphens": "a-",
    "half characters": "\ud800",
    "addresses": "a@b.org ",
    "queries": "a=1&",
}
FORMS = {
    "/letters": (*FIELDS, HONEYPOT),
    "/letters/look": (*FIELDS, "language"),
    "/letters/draft": ("recipient_email", "body", "timezone", "first_date"),
    "/letters/{token}/change": ("subject", "body", "sender_name", "second_date"),
    "/letters/{token}/address": ("recipient_email", "recipient_name"),
    "/links": ("sender_email",),
    "/language": ("next", "language"),
    "/admin/login": ("username", "password"),
    "/admin/deliveries": ("whom", "since", "to", "message_id", "state", "order"),
    "/admin/account/password": ("current", "new"),
    "/admin/account/second-factor": ("code",),
    "/admin/actions": ("chosen", "selection", "key", "asked"),
}
GIVEN = {
    "/admin/login": {"username": "admin", "password": "x"},
    "/admin/account/password": {"current": PASSWORD, "new": "x"},
    "/admin/actions": {"key": "00000000-0000-4000-8000-000000000000", "action": "hold", "asked": "0"},
    **dict.fromkeys(("/letters", "/letters/look", "/letters/draft", "/letters/{token}/change"), LETTER),
}
DOCUMENTS = {
    ("POST", "/api/letters"): tuple(LetterIn.model_fields),
    ("POST", "/api/letters/look"): ("body", "subject", "recipient_email", "timezone"),
    ("PATCH", "/api/letters/{token}"): tuple(ChangeIn.model_fields),
    ("PUT", "/api/letters/{token}/address"): ("recipient_email", "recipient_name"),
}
HUGE = 300_000
"""Bytes that uvicorn takes for the head of a request."""
STRUCTURES = {
    "lists": "[" + "[]," * 300_000 + "[]]",
    "objects": "[" + "{}," * 300_000 + "{}]",
    "one list in another": "[" * 900_000,
    "one object in another": '{"a":' * 150_000,
    "numbers": "[" + "1e9," * 200_000 + "1]",
    "long numbers": "[" + ("7" * 4300 + ",") * 200 + "1]",
    "a number without an end": '{"body":' + "9" * 900_000,
    "a fraction without an end": '{"body":1.' + "9" * 900_000 + "}",
    "names": "{" + ",".join(f'"a{number}":1' for number in range(70_000)) + "}",
    "one name": '{"body":"x"' + ',"body":"x"' * 70_000 + "}",
    "nulls": '{"body":[' + "null," * 170_000 + "1]}",
}
HEADS: dict[str, tuple[str, dict[str, str]]] = {
    "parameters": ("/?" + "a&" * 30_000, {}),
    "a path": ("/letters/" + "a/" * 30_000, {}),
    "languages": ("/", {"Accept-Language": "a" + " " * 30_000 + "b"}),
    "many languages": ("/", {"Accept-Language": "a;" * 15_000}),
    "more languages": ("/", {"Accept-Language": "a," * (HUGE // 2)}),
    "a quoted cookie": ("/", {"Cookie": 'a="' + "\\" * 30_000 + '"'}),
    "octal cookies": ("/", {"Cookie": 'a="' + "\\101" * 7000 + '"'}),
    "cookies": ("/", {"Cookie": ";" * (HUGE - 10)}),
    "forwarded": ("/", {"X-Forwarded-For": "10.0.0.1," * (HUGE // 9)}),
    "a type": ("/language", {"Content-Type": "multipart/form-data" + ";a=" * 10_000}),
    "a huge type": ("/language", {"Content-Type": "multipart/form-data" + ";" * HUGE}),
    "a type of JSON": ("/api/letters", {"Content-Type": "application/json" + ';a="' * 7000}),
    "an origin": ("/language", {"Origin": "://" * (HUGE // 3)}),
    "a host": ("/", {"Host": "a." * (HUGE // 2)}),
    "a length": ("/language", {"Content-Length": "9" * HUGE}),
}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What stands before the database is the same before both."""
    return sqlite_url


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limits": False, "trusted_proxies": ("10.0.0.0/8", "127.0.0.1")})


class Asked:
    """A browser that is signed in and has posted a letter."""

    def __init__(self, client: httpx.AsyncClient, token: str, clock: FrozenClock) -> None:
        self._client = client
        self._token = token
        self._clock = clock

    async def stall(self, method: str, path: str, content: bytes, kind: str, **headers: str) -> float:
        app = self._client._transport.app  # type: ignore[attr-defined]
        fields = {"Content-Type": kind, "Sec-Fetch-Site": "same-origin"} | headers

        async def ask() -> None:
            app.state.login_throttle = LoginThrottle(self._clock)  # nobody waits here
            answer = await self._client.request(
                method, path.replace("{token}", self._token), content=content, headers=fields
            )
            assert answer.status_code < 500, (path, answer.text[:500])

        return await longest_stall(ask)


@pytest.fixture
async def asked(services: Services, clock: FrozenClock) -> AsyncIterator[Asked]:
    await create_account("admin", PASSWORD, clock.now())
    async with asking(services, BASE) as client:
        app = client._transport.app  # type: ignore[attr-defined]
        app.state.wake_scan = lambda: None
        app.state.bulk_actions = BulkActions(clock, app.state.wake_scan)
        token = await posted(client)
        signed_in = await client.post(
            "/admin/login",
            data={"username": "admin", "password": PASSWORD},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert signed_in.headers["location"] == "/admin"
        yield Asked(client, token, clock)


def _multipart(values: dict[str, str]) -> Iterator[bytes]:
    for name, value in values.items():
        yield f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        yield value.encode(errors="surrogatepass") + b"\r\n"
    yield b"--x--\r\n"


def _urlencoded(values: dict[str, str]) -> Iterator[bytes]:
    for name, value in values.items():
        yield f"{name}={quote_from_bytes(value.encode(errors='surrogatepass'), safe='')}&".encode()


def _json(values: dict[str, str]) -> Iterator[bytes]:
    text = json.dumps(values, ensure_ascii=False)
    try:
        yield text.encode()
    except UnicodeEncodeError:
        yield json.dumps(values).encode()


def _filled(values: dict[str, str], name: str, alphabet: str, written: Callable[[Any], Iterator[bytes]]) -> bytes:
    """Return a body of about 1 MB, nearly all of it in one field."""
    empty, one = (len(b"".join(written(values | {name: alphabet * times}))) for times in (0, 1))
    body = b"".join(written(values | {name: alphabet * ((BODY_LIMIT - empty) // (one - empty))}))
    assert BODY_LIMIT * 0.99 < len(body) <= BODY_LIMIT
    return body


@pytest.mark.parametrize("path", FORMS)
async def test_no_text_in_a_form_stops_the_loop(asked: Asked, path: str) -> None:
    slow = {}
    for name in FORMS[path]:
        for alphabet, text in ALPHABETS.items():
            body = _filled(GIVEN.get(path, {}), name, text, _multipart)
            stall = await asked.stall("POST", path, body, "multipart/form-data; boundary=x")
            if stall > STALL_LIMIT:
                slow[name, alphabet] = stall
    assert not slow


@pytest.mark.parametrize("alphabet", ALPHABETS)
async def test_no_escaped_text_stops_the_loop(asked: Asked, alphabet: str) -> None:
    body = _filled(LETTER, "body", ALPHABETS[alphabet], _urlencoded)
    assert await asked.stall("POST", "/letters", body, "application/x-www-form-urlencoded") <= STALL_LIMIT


@pytest.mark.parametrize("alphabet", ["flags", "letters", "flags and marks", "families", "syllables", "conjuncts"])
async def test_no_text_that_is_counted_stops_the_loop(asked: Asked, alphabet: str) -> None:
    """Beyond four code points for each of 20,000 characters nothing is counted."""
    text = (ALPHABETS[alphabet] * 80_000)[:80_000]
    body = b"".join(_multipart(LETTER | {"body": text}))
    assert await asked.stall("POST", "/letters", body, "multipart/form-data; boundary=x") <= STALL_LIMIT


@pytest.mark.parametrize("text", ["%", "%41a", "%41", "+", "=", "a=1&", "&"])
async def test_no_escapes_stop_the_loop(asked: Asked, text: str) -> None:
    body = b"body=" + text.encode() * (BODY_LIMIT // len(text) - 5)
    assert await asked.stall("POST", "/letters", body, "application/x-www-form-urlencoded") <= STALL_LIMIT


@pytest.mark.parametrize(("method", "path"), DOCUMENTS)
async def test_no_text_in_json_stops_the_loop(asked: Asked, method: str, path: str) -> None:
    slow = {}
    for name in DOCUMENTS[method, path]:
        for alphabet, text in ALPHABETS.items():
            body = _filled(LETTER if path.startswith("/api/letters") and method == "POST" else {}, name, text, _json)
            stall = await asked.stall(method, path, body, "application/json")
            if stall > STALL_LIMIT:
                slow[name, alphabet] = stall
    assert not slow


@pytest.mark.parametrize("name", STRUCTURES)
async def test_no_structure_of_json_stops_the_loop(asked: Asked, name: str) -> None:
    assert await asked.stall("POST", "/api/letters", STRUCTURES[name].encode(), "application/json") <= STALL_LIMIT


@pytest.mark.parametrize("name", HEADS)
async def test_no_head_stops_the_loop(asked: Asked, name: str) -> None:
    path, headers = HEADS[name]
    method = "POST" if "Content-Type" in headers or path == "/language" else "GET"
    kind = headers.get("Content-Type", "application/x-www-form-urlencoded")
    assert await asked.stall(method, path, b"{}", kind, **headers) <= STALL_LIMIT
