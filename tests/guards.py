"""What stands behind rows P1 to P15 of the bar for the web: a guard, and a test that fails without it.

`python -m tests.guards` takes each guard away in turn, in a copy of the source, and shows that its
test goes red; `python -m tests.guards P4 P9` does so for these rows. The suite itself only looks
that every row has one, and that guard and test are where they are said to be.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Guard:
    """A piece of the source, what stands there once it is taken away, and the test that must notice."""

    row: str
    path: str
    text: str
    instead: str
    test: str


GUARDS = (
    Guard(
        "P1",
        "app/store/confirming.py",
        "status=Status.HELD, status_at=now, held_reason=HeldReason.UNCONFIRMED, awaited_mac=mac",
        "status_at=now",
        "tests/store/test_confirming.py::test_nothing_but_the_question_leaves_before_the_answer",
    ),
    Guard(
        "P1",
        "app/store/confirming.py",
        "found.notice.status_at > now - LIFE",
        "True",
        "tests/store/test_confirming.py::test_a_link_dies_after_two_days_and_what_waited_for_it_is_called_off",
    ),
    Guard(
        "P2",
        "app/web/limits.py",
        "_take(limits.posts, request)",
        "pass",
        "tests/web/test_limits.py::test_a_class_of_40_behind_one_address_can_write_and_a_flood_cannot",
    ),
    Guard(
        "P2",
        "app/store/quotas.py",
        "raise TooMany(_WAIT)",
        "return",
        "tests/web/test_bombing.py::test_a_bombed_address_gets_what_the_limits_allow_and_one_click_ends_it",
    ),
    Guard(
        "P2",
        "app/web/letters.py",
        "if typed.get(TRAP):",
        "if False:",
        "tests/web/test_limits.py::test_a_trap_that_was_filled_looks_like_a_success_and_stores_nothing",
    ),
    Guard(
        "P3",
        "app/store/quotas.py",
        "raise TooMany(_WAIT)",
        "raise TooMany(int(letter.recipient_mac, 16) % 1000)",
        "tests/web/test_limits.py::test_the_answer_does_not_tell_who_is_written_to",
    ),
    Guard(
        "P4",
        "app/web/security.py",
        'return site not in ("same-origin", "none")',
        "return False",
        "tests/web/test_security.py::test_only_our_own_pages_may_post",
    ),
    Guard(
        "P4",
        "app/web/security.py",
        "return is_at_desk(request)",
        "return False",
        "tests/web/test_security.py::test_under_admin_a_request_must_say_where_it_comes_from",
    ),
    Guard(
        "P5",
        "app/web/cookies.py",
        "httponly=True,",
        "httponly=False,",
        "tests/web/admin/test_login.py::test_over_https_the_cookie_is_bound_to_the_host_and_to_tls",
    ),
    Guard(
        "P5",
        "app/store/accounts.py",
        "IDLE = timedelta(minutes=30)",
        "IDLE = timedelta(days=30)",
        "tests/store/test_accounts.py::test_a_session_ends_after_half_an_hour_without_a_request",
    ),
    Guard(
        "P6",
        "app/web/throttle.py",
        "return 0.0 if tries < FREE_TRIES else",
        "return 0.0 if tries else",
        "tests/web/admin/test_throttle.py::test_each_try_after_the_free_ones_waits_twice_as_long",
    ),
    Guard(
        "P6",
        "app/store/accounts.py",
        "if is_guessable(password, username):",
        "if False:",
        "tests/store/test_accounts.py::test_a_password_that_everybody_tries_is_refused",
    ),
    Guard(
        "P7",
        "app/web/security.py",
        "headers.setdefault(name, value)",
        "pass",
        "tests/web/test_security.py::test_every_answer_has_the_headers",
    ),
    Guard(
        "P8",
        "app/sealing.py",
        "return hashlib.sha256(token.encode()).hexdigest()",
        "return token",
        "tests/unit/test_sealing.py::test_a_token_is_stored_as_its_hash",
    ),
    Guard(
        "P8",
        "app/web/limits.py",
        "limits.misses.count(client_of(request))",
        "pass",
        "tests/web/test_limits.py::test_guessing_at_links_ends_soon",
    ),
    Guard(
        "P9",
        "app/web/security.py",
        "if host_name(request.headers) not in self._hosts:",
        "if False:",
        "tests/web/test_security.py::test_an_unknown_host_gets_400",
    ),
    Guard(
        "P9",
        "app/web/proxies.py",
        "_believing(settings.trusted_proxies, app)",
        '_believing("*", app)',
        "tests/web/test_proxies.py::test_nobody_else_names_the_client",
    ),
    Guard(
        "P9",
        "app/web/proxies.py",
        'scope["client"] = _LOOPBACK',
        "pass",
        "tests/web/test_proxies.py::test_plain_uvicorn_trusts_nobody_whom_the_setting_does_not_name",
    ),
    Guard(
        "P10",
        "app/web/language.py",
        'return target if own else "/"',
        "return target",
        "tests/web/test_language.py::test_the_switch_leads_nowhere_else",
    ),
    Guard(
        "P11",
        "app/sealing.py",
        'return f"{table}\\0{column}\\0{row}".encode()',
        'return b""',
        "tests/unit/test_sealing.py::test_a_value_opens_nowhere_else",
    ),
    Guard(
        "P11",
        "app/store/vault.py",
        'return f"{row}.{revision}" if revision else row',
        "return row",
        "tests/store/test_revising.py::test_no_value_from_before_a_change_opens_beside_the_others",
    ),
    Guard(
        "P12",
        "app/web/journal.py",
        'return getattr(scope.get("route"), "name", None) or "-"',
        'return str(scope["path"])',
        "tests/web/test_security.py::test_the_log_holds_no_path_address_or_text",
    ),
    Guard(
        "P13",
        "app/store/listing.py",
        'return masked(address) if address else ""',
        "return address",
        "tests/web/admin/test_exporting.py::test_a_row_is_an_envelope_with_a_masked_address",
    ),
    Guard(
        "P13",
        "app/web/app.py",
        'openapi_url="/openapi.json" if settings.api_docs else None',
        'openapi_url="/openapi.json"',
        "tests/web/test_security.py::test_the_documents_of_the_api_are_off_unless_switched_on",
    ),
    Guard(
        "P14",
        "app/store/forgetting.py",
        "yield await _purge(ids, now, now - keep)",
        "yield 0",
        "tests/store/test_forgetting.py::test_a_letter_is_forgotten_when_its_last_delivery_ended_long_enough_ago",
    ),
    Guard(
        "P15",
        "app/web/security.py",
        "if seen > limit:",
        "if False:",
        "tests/web/test_letters.py::test_a_body_over_the_limit_gets_413",
    ),
    Guard(
        "P15",
        "app/web/security.py",
        "raise _closing(HTTPStatus.REQUEST_TIMEOUT) from None",
        "raise RuntimeError from None",
        "tests/web/test_security.py::test_a_body_that_never_ends_is_given_up",
    ),
    Guard(
        "P15",
        "app/web/protocol.py",
        "if self._head > HEAD_LIMIT:",
        "if False:",
        "tests/web/test_garbage.py::test_a_head_that_does_not_end_is_refused",
    ),
)


def is_noticed(guard: Guard, folder: Path) -> bool:
    """Take a guard away in a copy of the source, and return whether its test fails."""
    for name in ("app", "migrations", "templates", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    source = folder / guard.path
    source.write_text(source.read_text().replace(guard.text, guard.instead))
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", guard.test)
    ended = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, check=False
    )
    return ended.returncode == 1  # 1 is pytest's word for a test that failed, 0 for none


def main() -> None:
    """Show for each guard whether it is missed; exit with 1 if one is not."""
    wanted = sys.argv[1:]
    missed = True
    for guard in GUARDS:
        if not wanted or guard.row in wanted:
            with tempfile.TemporaryDirectory() as folder:
                noticed = is_noticed(guard, Path(folder))
            missed &= noticed
            sys.stdout.write(f"{guard.row:4} {'red' if noticed else 'STILL GREEN'}  {guard.test}\n")
            sys.stdout.flush()
    sys.exit(not missed)


if __name__ == "__main__":
    main()
