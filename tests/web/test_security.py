"""What every request passes, and every answer carries: docs/standards.md P4, P7, P9, P10, P13, P15."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from starlette.types import Message

from app.store.database import connection
from app.store.models import Letter
from app.web.app import create_app
from app.wiring import Services
from tests.web.requests import LETTER, asking, post, posted

pytestmark = pytest.mark.anyio

HOSTILE = "https://evil.example"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What stands before the database is the same before both."""
    return sqlite_url


async def every_answer(client: httpx.AsyncClient) -> dict[int, httpx.Response]:
    """Return one answer of every kind by status."""
    token = await posted(client)
    answers = [
        await client.get("/"),
        await client.get("/letters"),
        await client.get(f"/letters/{token}"),
        await client.get("/nothing"),
        await client.delete("/"),
        await post(client, body=""),
        await client.post("/letters", content=b"", headers={"Content-Type": "text/plain"}),
        await client.post("/letters", content=b"a" * 2_000_000),
        await client.get("/", headers={"Host": "evil.example"}),
        await client.post("/letters", headers={"Origin": HOSTILE}),
        await client.post("/api/letters", json=LETTER),
        await client.get("/static/style.css"),
        await client.get("/healthz"),
    ]
    return {answer.status_code: answer for answer in answers}


async def test_every_answer_has_the_headers(client: httpx.AsyncClient) -> None:
    answers = await every_answer(client)
    assert set(answers) >= {200, 201, 303, 400, 403, 404, 405, 413, 415, 422}
    for answer in answers.values():
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "strict-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert "strict-transport-security" not in answer.headers
        assert "Traceback" not in answer.text


async def test_transport_security_is_asked_for_behind_tls(services: Services) -> None:
    settings = services.settings.model_copy(update={"base_url": "https://letters.example.org"})
    async with asking(services, "https://letters.example.org", settings=settings) as client:
        assert (await client.get("/")).headers["strict-transport-security"] == "max-age=63072000"


async def test_pages_with_a_token_are_kept_nowhere(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/letters/{await posted(client)}")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noindex"


async def test_static_files_are_kept_for_good_and_change_their_address(client: httpx.AsyncClient) -> None:
    path = re.search(r'"(/static/style\.css\?v=[0-9a-f]{12})"', (await client.get("/")).text)
    assert path
    assert "immutable" in (await client.get(path[1])).headers["cache-control"]
    assert (await client.get("/static/nothing.css")).headers["cache-control"] == "no-store"


async def test_no_page_holds_a_script_or_a_style_of_its_own(client: httpx.AsyncClient) -> None:
    for path in ("/", f"/letters/{await posted(client)}", "/nothing"):
        page = (await client.get(path)).text
        assert "<style" not in page
        assert " style=" not in page
        assert not re.search(r"<script(?! src=)| on\w+=", page)


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST", "letters.example.org", "nas.lan:80"]
)
async def test_known_hosts_are_answered(services: Services, host: str) -> None:
    known = {"base_url": "https://letters.example.org", "allowed_hosts": ("nas.lan",)}
    async with asking(services, settings=services.settings.model_copy(update=known)) as client:
        assert (await client.get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "", "127.0.0.1:x", "a b", "[::1", "10.0.0.1", "localhost@evil.example"],
)
async def test_an_unknown_host_gets_400(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status_code == 400


async def test_two_hosts_get_400(client: httpx.AsyncClient) -> None:
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    assert (await client.get("/", headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Origin": "http://127.0.0.1:8000"}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"}, 403),
        ({"Origin": HOSTILE}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:8001"}, 403),
        ({"Origin": "https://127.0.0.1:8000"}, 403),
        ({"Origin": "127.0.0.1:8000"}, 403),
        ({"Origin": ""}, 403),
    ],
)
async def test_only_our_own_pages_may_post(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    assert (await client.post("/letters", data=LETTER, headers=headers)).status_code == status
    assert await Letter.all().count() == (status == 303)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("letters.example.org", "https://letters.example.org", 303),
        ("letters.example.org", "http://letters.example.org", 403),
        ("other.example.org", "https://other.example.org", 303),
        ("other.example.org", "https://letters.example.org", 303),
        ("other.example.org", "https://third.example.org", 403),
        ("localhost:8000", "http://localhost:8000", 303),
    ],
)
async def test_an_origin_is_ours_by_its_scheme_too(services: Services, host: str, origin: str, status: int) -> None:
    """TLS ends at a proxy that is not trusted here: the request itself came by http."""
    changed = {"base_url": "https://letters.example.org", "allowed_hosts": ("other.example.org",)}
    async with asking(services, settings=services.settings.model_copy(update=changed)) as client:
        answer = await client.post("/letters", data=LETTER, headers={"Host": host, "Origin": origin})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/?" + "a" * 8100, {}, 200),
        ("/?" + "a" * 8200, {}, 414),
        ("/letters/" + "a" * 8200, {}, 414),
        ("/", {"X": "a" * 32_000}, 200),
        ("/", {"X": "a" * 33_000}, 431),
    ],
)
async def test_a_head_is_bounded(client: httpx.AsyncClient, path: str, headers: dict[str, str], status: int) -> None:
    assert (await client.get(path, headers=headers)).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
async def test_every_unsafe_method_is_checked(client: httpx.AsyncClient, method: str) -> None:
    for path in ("/", "/letters/x/withdraw", "/api/letters/x", "/language", "/admin/login"):
        assert (await client.request(method, path, headers={"Origin": HOSTILE})).status_code == 403


async def test_under_admin_a_request_must_say_where_it_comes_from(client: httpx.AsyncClient) -> None:
    assert (await client.post("/admin/login", data={})).status_code == 403


async def test_the_documents_of_the_api_are_off_unless_switched_on(
    services: Services, client: httpx.AsyncClient
) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert (await client.get(path)).status_code == 404
    async with asking(services, settings=services.settings.model_copy(update={"api_docs": True})) as documented:
        paths = (await documented.get("/openapi.json")).json()["paths"]
    assert {"/api/letters", "/api/letters/{token}"} <= set(paths)
    assert all(path.startswith("/api/") for path in paths)


async def test_a_page_that_broke_tells_nothing(client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]) -> None:
    token = await posted(client)
    await Letter.all().update(body_sealed=b"\x01garbage")
    answer = await client.get(f"/letters/{token}")
    assert answer.status_code == 500
    assert "went wrong on our side" in answer.text
    assert "content-security-policy" in answer.headers
    log = capsys.readouterr()
    assert "KeyMissing" in log.out + log.err
    assert token not in log.out + log.err


async def test_the_log_holds_no_path_address_or_text(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    token = await posted(client)
    await client.get(f"/letters/{token}?secret")
    await client.post("/api/letters", json=LETTER | {"secret": "x"})
    log = "".join(capsys.readouterr())
    assert "post letter" in log
    assert not any(word in log for word in (token, "sujin", "the sea", "secret", "/letters"))


async def test_a_store_that_takes_nothing_loses_nothing_typed(client: httpx.AsyncClient) -> None:
    await connection().execute_script("PRAGMA query_only = ON")  # as on a full or broken disk
    answer = await post(client, subject="kept")
    assert answer.status_code == 503
    assert "What you wrote is kept" in answer.text
    assert 'value="kept"' in answer.text
    answer = await client.post("/api/letters", json=LETTER)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert "Nothing is lost" in answer.text


async def test_a_body_that_is_packed_is_not_taken_for_one_that_is_not(client: httpx.AsyncClient) -> None:
    answer = await client.post("/letters", data=LETTER, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    assert not await Letter.exists()


async def test_head_is_get_without_its_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/")
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == str(len((await client.get("/")).content))


async def _answered(services: Services, *told: Message) -> list[Message]:
    """Post a form of which only this arrives, and return what is answered."""
    app = create_app(services.settings, services.clock)
    app.state.services = services
    sent: list[Message] = []
    arriving = asyncio.Queue[Message]()
    for message in told:
        arriving.put_nowait(message)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/letters", "query_string": b"", "headers": headers}
    await app(scope, arriving.get, send)
    return sent


HALF = {"type": "http.request", "body": b"body=", "more_body": True}


async def test_a_writer_who_hangs_up_breaks_nothing(services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    assert await _answered(services, HALF, {"type": "http.disconnect"}) == []
    assert "page broke" not in "".join(capsys.readouterr())


async def test_a_body_that_never_ends_is_given_up(services: Services) -> None:
    hurried = services.settings.model_copy(update={"request_timeout": timedelta(milliseconds=20)})
    start, body = await _answered(replace(services, settings=hurried), HALF)
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert "The request took too long" in body["body"].decode()
