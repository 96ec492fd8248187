"""`POST /letters` beside a FastAPI form that stores nothing, under the same uvicorn."""

import contextlib
import sys
from collections.abc import Iterator
from itertools import islice
from urllib.parse import urlsplit

from app.store.database import is_sqlite
from tests.acceptance.servers import eventually
from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.preparation import BODY
from tests.bench.processes import child, cpu
from tests.bench.report import Rounds, say
from tests.bench.visitors import ask, get, hurry, post
from tests.postgres import free_port

_BARE = "a form that stores nothing"
_WARM = 200  # letters before the clock starts


def posting(bench: Bench) -> None:
    """Compare how many letters are taken a second."""
    rounds, urls = Rounds(), [bench.databases.new(kind) for kind in ("postgres", "sqlite")]
    letters = [*islice(_letters(), bench.sizes.posts + _WARM)]
    for number in range(bench.sizes.rounds):
        if number and not bench.bound.allows(60, f"round {number + 1} of posting"):
            break
        with _bare(bench) as (pid, port):
            _take(rounds, _BARE, pid, port, letters)
        for url in urls:
            program = ours.program(bench.folder / "ours", url, 1, RATE_LIMITS="off")
            with program.serve() as server:
                _take(rounds, _name(url), server.pid, urlsplit(server.base).port or 0, letters)
    say(f"\nPOST /letters of 4 KB in Korean, {bench.sizes.posts:,} over 20 kept connections")
    for name in (_BARE, *map(_name, urls)):
        say(
            f"  {name:32} {rounds.spread(name)} /s, {rounds.ratio(name, _BARE):.2f} of the first, "
            f"{rounds.median(f'{name} cpu'):,.0f} us CPU each"
        )


def _name(url: str) -> str:
    return f"ours, {'SQLite' if is_sqlite(url) else 'PostgreSQL'}"


def _take(rounds: Rounds, name: str, pid: int, port: int, letters: list[bytes]) -> None:
    hurry(port, letters[:_WARM], 303)
    before = cpu(pid)
    rounds.add(name, hurry(port, letters[_WARM:], 303))
    rounds.add(f"{name} cpu", (cpu(pid) - before) / (len(letters) - _WARM) * 1e6)


def _letters() -> Iterator[bytes]:
    number = 0
    while True:
        reader = f"reader{number}@d{number % 20}.test"
        values = {"recipient_email": reader, "subject": "느린 편지", "body": BODY, "timezone": "Asia/Seoul"}
        yield post("/letters", values)
        number += 1


@contextlib.contextmanager
def _bare(bench: Bench) -> Iterator[tuple[int, int]]:
    port = free_port()
    factory = ("--factory", "tests.bench.form:create_app", "--port", str(port))
    quiet = ("--no-access-log", "--log-level", "warning", "--no-server-header", "--no-proxy-headers")
    with child((sys.executable, "-m", "uvicorn", *factory, *quiet), bench.said) as process:
        eventually(lambda: _answers(port))
        yield process.pid, port


def _answers(port: int) -> bool:
    try:
        return bool(ask(port, get("/")))
    except ConnectionError:
        return False
