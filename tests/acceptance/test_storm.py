"""Random kills: nothing is lost, and every letter that arrived twice is known to the ledger.

The short storm runs with the suite. The long one of docs/benchmarks.md:

    MAILBOX_TEST_STORM=20000,50 make test ARGS="tests/acceptance/test_storm.py -s"

With one server and 3000,10 it is the storm that other queues were measured in.
"""

import asyncio
import contextlib
import os
import random
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from app.domain.status import Occasion
from app.store.database import connected
from app.store.models import Delivery
from tests.acceptance.mailserver import MailServer, mail_server
from tests.acceptance.seed import KEY, seed
from tests.acceptance.servers import Program, Server, eventually

LETTERS, KILLS = map(int, os.environ.get("MAILBOX_TEST_STORM", "600,5").split(","))
A_KILL = 2
"""Letters that may arrive twice for each; the average of a storm is about one."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + LETTERS / 10 + KILLS * 10)]


@pytest.mark.parametrize(("policy", "servers"), [("resend", 2), ("hold", 2), ("resend", 1)])
def test_a_storm_of_kills(policy: Literal["resend", "hold"], servers: int, database_url: str, tmp_path: Path) -> None:
    seed(database_url, LETTERS, domains=20)
    with mail_server(tmp_path) as mails:
        program = Program(
            tmp_path,
            DATABASE_URL=database_url,
            SMTP_URL=mails.url,
            SECRET_KEY=KEY,
            ON_UNCERTAIN=policy,
            SCAN_INTERVAL="PT1S",
            LEASE="PT2S",
        )
        _storm(program, mails, servers, random.Random(LETTERS))
        arrived = mails.arrived()
    ledger = asyncio.run(_ledger(database_url))
    sums = program.audit()
    doubled = {message_id for message_id, times in arrived.items() if times > 1}
    _report(f"{policy}, {servers} serving", database_url, arrived, ledger)
    assert sums["by_status"]["claimed"] == 0
    assert set(arrived) <= set(ledger), "something arrived that the ledger does not know"
    assert all(ledger[message_id][1] for message_id in doubled), "a double that the ledger does not know"
    assert sum(times - 1 for times in arrived.values()) <= A_KILL * KILLS
    if policy == "resend":
        assert set(arrived) == set(ledger), "a letter is lost"
        assert {status for status, _ in ledger.values()} == {"sent"}
    else:
        assert not doubled
        assert {status for status, _ in ledger.values()} <= {"sent", "uncertain"}
        assert all(status == "uncertain" for message_id, (status, _) in ledger.items() if message_id not in arrived)


def _storm(program: Program, mails: MailServer, number: int, chance: random.Random) -> None:
    """Kill a random server whenever a random number of letters has arrived; start another each time."""
    moments = sorted(chance.sample(range(LETTERS * 9 // 10), KILLS))
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(program.serve()) for _ in range(number)]
        for moment in moments:
            eventually(partial(_have_arrived, mails, moment))
            victim = chance.randrange(number)
            servers[victim].kill()
            servers[victim] = stack.enter_context(program.serve())
        eventually(partial(_all_ended, program, servers))


def _have_arrived(mails: MailServer, letters: int) -> bool:
    return len(mails.arrived()) >= letters


def _all_ended(program: Program, servers: list[Server]) -> bool:
    assert all(server.exit_code is None for server in servers)
    states = program.audit()["by_status"]
    return bool(states["sent"] + states["uncertain"] == LETTERS and states["scheduled"] == LETTERS)


async def _ledger(database_url: str) -> dict[str, tuple[str, int]]:
    """Return state and lost answers of every first delivery, by Message-ID."""
    async with connected(database_url):
        rows = await Delivery.filter(occasion=Occasion.FIRST).values_list("message_id", "status", "unanswered")
        return {message_id: (str(status), unanswered) for message_id, status, unanswered in rows}


def _report(how: str, url: str, arrived: Counter[str], ledger: dict[str, tuple[str, int]]) -> None:
    doubles = sum(times - 1 for times in arrived.values())
    doubtful = sum(1 for _, unanswered in ledger.values() if unanswered)
    lost = len(set(ledger) - set(arrived))
    print(  # noqa: T201 - the figure is the purpose of this test
        f"\n{url.partition(':')[0]}, {how}: {LETTERS} letters, {KILLS} kills; not arrived {lost}, "
        f"arrived twice {doubles} ({doubles / KILLS:.2f} a kill), in doubt {doubtful}"
    )
