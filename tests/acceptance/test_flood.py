"""Floods at the door of a real server: it goes on serving, its ledger adds up, and its memory stays flat.

`MAILBOX_TEST_GARBAGE=10000 make test ARGS="tests/acceptance/test_flood.py -s"` posts as much as is promised.
"""

import os
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.servers import PATIENCE, PLAIN, Program, Server, eventually, post_letter
from tests.web.garbage import GARBAGE, HALVES, PATHS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

POSTS = int(os.environ.get("MAILBOX_TEST_GARBAGE", "600"))
AT_ONCE = 8
LORISES = 500
GROWTH = 24 * 1024
"""KiB by which a process may grow under a flood; a leak of one body in a hundred would be more."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    program = Program(tmp_path, RATE_LIMITS="off", PAUSED="on", REQUEST_TIMEOUT="PT5S")
    assert program.run("migrate").returncode == 0
    with program.serve() as serving:
        yield serving
        assert "page broke" not in serving.log
        assert "Traceback" not in serving.log
    assert program.audit()["adds_up"]


def _resident(pid: int) -> int:
    """Return the KiB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _post_garbage(server: Server, posts: int) -> Counter[int]:
    chance = random.Random(posts)
    wanted = [(chance.choice(PATHS), *chance.choice(list(GARBAGE.values()))) for _ in range(posts)]

    def post(client: httpx.Client, path: str, kind: str, content: bytes) -> int:
        return client.post(server.base + path, content=content, headers={"Content-Type": kind}).status_code

    with httpx.Client(**PLAIN) as client, ThreadPoolExecutor(AT_ONCE) as threads:
        return Counter(threads.map(lambda each: post(client, *each), wanted))


def test_garbage_by_the_thousand_leaves_the_memory_flat(server: Server) -> None:
    warm = _post_garbage(server, POSTS // 3)
    before = _resident(server.pid)
    with ExitStack() as open_ends:
        for _ in range(100):
            half = open_ends.enter_context(_connected(server))
            half.sendall(random.choice(HALVES))
        statuses = _post_garbage(server, POSTS)
        assert post_letter(server.base).status_code == 303
    grown = _resident(server.pid) - before
    print(f"{POSTS} posts of garbage: {dict(statuses)}, {before} KiB before, {grown:+} KiB after")  # noqa: T201 - with -s
    assert set(warm | statuses) <= {303, 400, 403, 404, 413, 415, 422}
    assert grown < GROWTH


def test_500_clients_that_trickle_do_not_keep_out_a_writer(server: Server) -> None:
    """Half of them never end their headers, half never their bodies; these are given up after REQUEST_TIMEOUT."""
    head = HALVES[1].partition(b"\r\n\r\n")[0] + b"\r\n"
    with ExitStack() as open_ends:
        lorises = [open_ends.enter_context(_connected(server)) for _ in range(LORISES)]
        for number, loris in enumerate(lorises):
            loris.sendall(head if number % 2 else head + b"\r\nbody=slow")
        began = time.monotonic()
        assert post_letter(server.base).status_code == 303
        print(f"a letter beside {LORISES} slow clients took {time.monotonic() - began:.2f} s")  # noqa: T201
        for loris in lorises[::2]:
            loris.settimeout(PATIENCE)
            assert loris.recv(1000).startswith(b"HTTP/1.1 408 ")
            eventually(lambda loris=loris: not loris.recv(100_000))  # type: ignore[misc]
        assert post_letter(server.base).status_code == 303


def _connected(server: Server) -> socket.socket:
    address = urlsplit(server.base)
    return socket.create_connection((address.hostname or "", address.port or 0))
