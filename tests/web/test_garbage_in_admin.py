"""Garbage from somebody who is signed in, or holds a letter's link: no 5xx, on both databases (P15)."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.web.forms import FIELDS
from tests.acceptance.servers import PLAIN, Program, post_letter

pytestmark = pytest.mark.slow

EXAMPLES = 60
PASSWORD = "correct horse battery"
DIGITS = "9" * 5000  # more than Python reads into a number
ASKED = (
    *("/admin", "/admin/deliveries", "/admin/deliveries.csv", "/admin/trail", "/admin/actions/ask", "/admin/account"),
    *("/admin/deliveries/{}", "/admin/deliveries/{}/address", "/admin/actions/{}", "/admin/account/second-factor"),
    *("/admin/sending", "/letters/{}", "/letters/{token}/export", "/letters/{token}/change", "/letters/draft"),
)
POSTED = (
    *("/admin/deliveries", "/admin/actions", "/admin/deliveries/1/address", "/admin/deliveries/{}/address"),
    *("/admin/account/password", "/admin/account/second-factor", "/admin/account/second-factor/remove"),
    *("/admin/sending/resume", "/letters/{token}/change", "/letters/{token}/address", "/letters/draft"),
    *("/letters/look", "/language"),
)
NAMES = (
    *("state", "occasion", "since", "until", "whom", "to", "message_id", "order", "at", "before", "action", "id"),
    *("meant", "key", "chosen", "selection", "asked", "code", "current", "new", "next", "lang", "reach", *FIELDS),
)
ODD = (
    *("", "0", "-1", "1", DIGITS, str(2**63), str(2**63 - 1), "٣", "²", "1e9", "NaN", "0x1", "all", "hold", "held"),
    *("\0", "\ud800", "\u202e", "a\r\nSet-Cookie: a=b", "//evil.example", "/\\evil.example", "javascript:alert(1)"),
    *("0001-01-01T00:00", "9999-12-31T23:59", "2026-02-30", "P1D", f"P{DIGITS}D", "{{7*7}}", "%s%n", "' OR 1=1 --"),
    *("after-9999-1", "before-x", f"after-{DIGITS}-{DIGITS}", "address-" + "0" * 32, "<a@b>", "../../etc/passwd"),
    *("00000000-0000-4000-8000-000000000000", "sujin@example.org", "@example.org", "usual", "none", "first"),
)
anything = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=()), max_size=40))
fields = st.lists(st.tuples(st.sampled_from(NAMES), anything), max_size=6)
in_path = st.sampled_from([quote(each, safe="", errors="surrogatepass") for each in ODD if each])


def test_whatever_is_asked_of_the_desk_never_breaks(database_url: str, tmp_path: Path) -> None:
    program = Program(tmp_path, DATABASE_URL=database_url, RATE_LIMITS="off", PAUSED="on", ADMIN_PASSWORD=PASSWORD)
    with (
        program.serve() as server,
        httpx.Client(base_url=server.base, headers={"Origin": server.base}, **PLAIN) as client,
    ):
        token = post_letter(server.base).headers["location"].removeprefix("/letters/")
        answer = client.post("/admin/login", data={"username": "admin", "password": PASSWORD})
        assert answer.headers["location"] == "/admin"

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.booleans(), st.data())
        def ask(posts: bool, draw: st.DataObject) -> None:
            path = draw.draw(st.sampled_from(POSTED if posts else ASKED))
            path = path.replace("{token}", token).replace("{}", draw.draw(in_path) if "{}" in path else "")
            typed = urlencode(draw.draw(fields), errors="surrogatepass")
            answer = _asked(client, path, typed, posts=posts)
            assert answer.status_code in {200, 303, 400, 404, 409, 410, 414, 415, 422, 429}, (path, typed, answer.text)
            assert answer.headers.get("location", "/").startswith("/")
            assert not answer.headers.get("location", "/").startswith(("//", "/\\"))
            assert "Traceback" not in answer.text

        ask()
        assert "page broke" not in server.log
        assert program.audit()["adds_up"]


def _asked(client: httpx.Client, path: str, typed: str, *, posts: bool) -> httpx.Response:
    form: dict[str, Any] = {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, "content": typed}
    return client.post(path, **form) if posts else client.get(f"{path}?{typed}")
