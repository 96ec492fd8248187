"""The operator's first page, list and search over a million stored letters."""

import time
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.preparing import fill
from tests.bench.report import quantile, say
from tests.bench.visitors import ask, get, header, post

_PASSWORD = "correct horse battery staple"
_SHORT = "짧은 편지"
_WRITE = 120e-6  # seconds to write a letter with its deliveries
_TIMES = 40


def desking(bench: Bench) -> None:
    """Measure each page as often as an impatient operator would ask for it."""
    letters = bench.sizes.stored
    say(f"\nThe desk over {letters:,} letters")
    for kind in ("postgres", "sqlite"):
        if not bench.bound.allows(letters * _WRITE * 1.5 + 20, f"the desk on {kind}"):
            continue
        url = bench.databases.new(kind)
        fill(url, letters, body=_SHORT)
        program = ours.program(bench.folder / "ours", url, 1, ADMIN_PASSWORD=_PASSWORD, PAUSED="on")
        with program.serve() as server:
            _look(kind, urlsplit(server.base).port or 0, letters)
        bench.databases.drop(url)


def _look(kind: str, port: int, letters: int) -> None:
    who = {"username": "admin", "password": _PASSWORD}
    session = _cookies(ask(port, post("/admin/login", who, Origin=f"http://127.0.0.1:{port}")))
    reader = {"whom": f"reader{letters // 2}@d{letters // 2 % 20}.test"}
    found = header(
        ask(port, post("/admin/deliveries", reader, Cookie=session, Origin=f"http://127.0.0.1:{port}")), "location"
    )
    for name, path in (("first page", "/admin"), ("list", "/admin/deliveries"), ("search", found)):
        took = []
        for _ in range(_TIMES):
            begun = time.perf_counter()
            answer = ask(port, get(path, Cookie=session))
            took.append(time.perf_counter() - begun)
            assert answer.startswith(b"HTTP/1.1 200"), answer
        middle, slow = quantile(took, 0.5) * 1000, quantile(took, 0.95) * 1000
        say(f"  {kind:10} {name:12} {middle:7.1f} ms in the middle, {slow:7.1f} ms for the slowest in 20")


def _cookies(answer: bytes) -> str:
    jar: SimpleCookie = SimpleCookie()
    for line in answer.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        if name.lower() == "set-cookie":
            jar.load(value)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
