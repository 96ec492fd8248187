"""The operator's pages over a million stored letters, each at rest."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

from app.domain.status import HeldReason, Occasion, Status
from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.csv_export import saving
from tests.bench.preparation import fill_with_a_past
from tests.bench.report import quantile, say
from tests.bench.visitors import ask, get, header, post, repeat

_PASSWORD = "correct horse battery staple"
_SHORT = "짧은 편지"
_WRITE = 300e-6  # seconds to write a letter with its deliveries
_SHOWN = 8
_LIST = "/admin/deliveries"
_LAST_PAGE = "before-99999999999999999-1"


def desking(bench: Bench) -> None:
    """Measure each page as often as an impatient operator would ask for it."""
    letters = bench.sizes.stored
    for kind in ("postgres", "sqlite"):
        if not bench.bound.allows(letters * _WRITE * 1.5 + 200, f"the desk on {kind}"):
            continue
        url = bench.databases.new(kind)
        fill_with_a_past(url, letters, body=_SHORT)
        program = ours.program(bench.folder / "ours", url, 1, ADMIN_PASSWORD=_PASSWORD, PAUSED="on")
        with program.serve() as server:
            say(f"\nThe desk over {letters:,} letters on {kind}: ms in the middle and at worst")
            port = urlsplit(server.base).port or 0
            session = signed_in(port)
            tell(look(port, session, letters))
            saving(server, session)
        bench.databases.drop(url)


Took = dict[str, tuple[float, float]]


def tell(took: Took) -> None:
    """Print what each kind of page took, the slowest first, and the slowest of all."""
    ranked = sorted(took.items(), key=lambda each: -each[1][0])
    for name, (middle, worst) in ranked[:_SHOWN]:
        say(f"  {name:44} {middle:7.1f} {worst:7.1f}")
    middle, worst = ranked[0][1][0], max(worst for _, worst in took.values())
    say(f"  worst of {len(took)} pages: {middle:.1f} in the middle, {worst:.1f} once")


def signed_in(port: int) -> str:
    """Return the cookies of an operator's session."""
    who = {"username": "admin", "password": _PASSWORD}
    return _cookies(ask(port, post("/admin/login", who, Origin=f"http://127.0.0.1:{port}")))


def look(port: int, session: str, letters: int) -> Took:
    """Return the milliseconds that each page takes, by its name: in the middle, and at worst."""
    home = f"http://127.0.0.1:{port}"
    found = {
        name: header(ask(port, post(_LIST, form, Cookie=session, Origin=home)), "location")
        for name, form in _searches(letters).items()
    }
    pages = {**dict(_pages(letters)), **found}
    return {name: _times(port, get(path, Cookie=session)) for name, path in pages.items()}


def _times(port: int, request: bytes) -> tuple[float, float]:
    took = repeat(port, request)
    return quantile(took, 0.5) * 1000, max(took) * 1000


def _searches(letters: int) -> dict[str, dict[str, str]]:
    """Return what is typed into the form: an address, and a domain that a twentieth of all letters go to."""
    number = letters // 2
    address = {"whom": f"reader{number}@d{number % 20}.test"}
    domain = {"whom": f"d{number % 20}.test"}
    return {
        "search: address": address,
        "search: domain": domain,
        "search: domain, failed": domain | {"state": "failed"},
        "search: domain, ended": domain | {"state": "sent", "order": "earliest"},
        "search: Message-ID": {"message_id": "<never-sent@bench.test>"},
    }


def _pages(letters: int) -> Iterator[tuple[str, str]]:
    yield "today", "/admin"
    for order in ("earliest", "latest"):
        yield f"list: all, {order}", f"{_LIST}?order={order}"
        yield f"list: all, {order}, last page", f"{_LIST}?order={order}&at={_LAST_PAGE}"
        yield f"list: all, {order}, in the middle", f"{_LIST}?order={order}&at={_middle()}"
    yield from _narrowed()
    for number in (1, letters // 10, letters):
        yield f"a delivery: {number}", f"{_LIST}/{number}"
    for action, state in (("hold", "scheduled"), ("requeue", "failed"), ("cancel", "held"), ("resend", "uncertain")):
        yield f"question: {action} all", f"/admin/actions/ask?action={action}&meant=all&state={state}"
    yield "question: cancel all", "/admin/actions/ask?action=cancel&meant=all"
    yield "correcting an address", f"{_LIST}/{letters}/address"
    for name in ("trail", "account", "account/second-factor", "sending"):
        yield name, f"/admin/{name}"
    yield "export: its head", f"{_LIST}.csv"
    yield "metrics", "/metrics"
    yield "readyz", "/readyz"


def _narrowed() -> Iterator[tuple[str, str]]:
    coming = [("state", each) for each in ("scheduled", "claimed", "held", "uncertain")]
    ended = [("state", each) for each in ("sent", "failed", "cancelled")]
    week = [("since", (datetime.now(UTC) - timedelta(days=7)).isoformat())]
    choices = {
        "coming": coming,
        "ended": ended,
        "undecided": [("state", each) for each in ("held", "uncertain", "failed")],
    }
    choices |= {str(each): [("state", each)] for each in Status}
    choices |= {str(each): [("occasion", each)] for each in Occasion}
    choices |= {"since a week": week, "sent, since a week": [*week, ("state", "sent")]}
    choices |= {"until a week ago": [("until", week[0][1])], "ended, earliest": [*ended, ("order", "earliest")]}
    choices |= {f"held: {each}": [("reason", each)] for each in HeldReason}
    for name, choice in choices.items():
        yield f"list: {name}", f"{_LIST}?{urlencode(choice)}"


def _middle() -> str:
    return f"after-{int((datetime.now(UTC) - timedelta(days=20)).timestamp() * 1e6)}-1"


def _cookies(answer: bytes) -> str:
    jar: SimpleCookie = SimpleCookie()
    for line in answer.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        if name.lower() == "set-cookie":
            jar.load(value)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
