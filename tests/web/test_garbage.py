"""Garbage at the door of a real server: no 5xx, still serving, and the ledger adds up (P15)."""

import random
import re
import select
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.web.forms import FIELDS
from tests.acceptance.servers import PATIENCE, PLAIN, Program, Server, post_letter
from tests.web.garbage import GARBAGE, HALVES, KINDS, NO_REQUESTS, PATHS

pytestmark = pytest.mark.slow

EXAMPLES = 150


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    made = Program(tmp_path_factory.mktemp("garbage"), API_DOCS="on", RATE_LIMITS="off", PAUSED="on")
    assert made.run("migrate").returncode == 0
    return made


@pytest.fixture(scope="module")
def server(program: Program) -> Iterator[Server]:
    """Serve for all of these; at the end nothing has broken, and the ledger adds up."""
    with program.serve() as serving:
        yield serving
        assert post_letter(serving.base).status_code == 303
        assert program.audit()["adds_up"]
        assert "page broke" not in serving.log
        assert "Traceback" not in serving.log


@contextmanager
def _still_serving(server: Server) -> Iterator[None]:
    yield
    assert httpx.get(server.base, **PLAIN).status_code == 200


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_gets_one_clear_answer(server: Server, name: str) -> None:
    kind, content = GARBAGE[name]
    statuses = Counter[int]()
    with _still_serving(server):
        for path in PATHS:
            answer = httpx.post(server.base + path, content=content, headers={"Content-Type": kind}, **PLAIN)
            assert answer.status_code < 500, f"{path}: {answer.text}"
            assert "Traceback" not in answer.text
            statuses[answer.status_code] += 1
    assert set(statuses) <= {303, 400, 403, 404, 413, 415, 422}


anything = st.text(st.characters(exclude_categories=()), max_size=300)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(PATHS), st.sampled_from(KINDS), st.one_of(st.binary(max_size=2000), anything), st.data())
def test_whatever_is_posted_never_breaks(
    server: Server, path: str, kind: str, body: bytes | str, draw: st.DataObject
) -> None:
    if isinstance(body, str):
        name = draw.draw(st.sampled_from([*FIELDS, "next", "username", "website"]))
        fields = {"recipient_email": "sujin@example.org", "body": "x", name: body}
        content = urlencode(fields, errors="surrogatepass").encode()
    else:
        content = body
    query = quote(draw.draw(anything), safe="", errors="surrogatepass")
    headers = {"Content-Type": kind} if kind else {}
    answer = httpx.post(f"{server.base}{path}?{query}", content=content, headers=headers, **PLAIN)
    assert answer.status_code < 500
    assert answer.status_code in {303, 400, 403, 404, 413, 415, 422}


@given(st.one_of(anything, st.from_regex(r"(%0d%0a|%00|\.\./|//|%2e)*[a-z:@-]*", fullmatch=True)))
@settings(max_examples=EXAMPLES // 3, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_whatever_address_is_asked_for_never_breaks(server: Server, path: str) -> None:
    safe = "%/" if path.isascii() else ""
    for before in ("/", "/letters/", "/api/letters/", "/outbox/", "/static/"):
        answer = httpx.get(server.base + before + quote(path, safe=safe, errors="surrogatepass"), **PLAIN)
        assert answer.status_code in {200, 303, 307, 400, 404, 405}
        assert not re.search(r"\n(set-cookie|bcc)", "\n".join(answer.headers).lower())


def test_half_open_and_broken_connections_keep_nobody_waiting(server: Server) -> None:
    address = urlsplit(server.base)
    halves = [socket.create_connection((address.hostname or "", address.port or 0)) for _ in range(200)]
    chance = random.Random(1)
    with _still_serving(server):
        for half in halves:
            half.sendall(chance.choice(HALVES))
        assert post_letter(server.base).status_code == 303
        for half in halves:
            with closing(half):
                half.settimeout(0)


def test_a_head_that_does_not_end_is_refused(server: Server) -> None:
    """By its first 100 MB the process would have grown as much; httptools knows no limit."""
    address = urlsplit(server.base)
    with closing(socket.create_connection((address.hostname or "", address.port or 0))) as client:
        client.settimeout(PATIENCE)
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        with suppress(ConnectionError):  # it need not hear us out
            while not select.select([client], [], [], 0.02)[0]:
                client.sendall(b"a" * 16_000)
        answer = client.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"content-security-policy: default-src 'none'" in answer.lower()


@pytest.mark.parametrize(("sent", "status"), NO_REQUESTS)
def test_what_is_no_request_of_ours_is_answered_with_our_headers(server: Server, sent: bytes, status: bytes) -> None:
    address = urlsplit(server.base)
    with closing(socket.create_connection((address.hostname or "", address.port or 0))) as client:
        client.sendall(sent)
        answer = client.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"content-security-policy: default-src 'none'" in answer.lower()


def test_the_interface_is_what_its_document_says(server: Server, tmp_path: Path) -> None:
    """Schemathesis asks all it can think of, and compares every answer with the OpenAPI document.

    That a letter which the document allows is taken cannot be promised: JSON Schema does not know
    what an address is.
    """
    ended = subprocess.run(
        (
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{server.base}/openapi.json", "--max-examples", "12", "--seed", "1", "--no-color"),
            *("--generation-database", "none", "--exclude-checks", "positive_data_acceptance"),
        ),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-5000:]
    assert "Unresolvable" not in ended.stdout
