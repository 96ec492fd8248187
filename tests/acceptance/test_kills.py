"""A sending process is killed at each commit point of a delivery; another recovers its deliveries."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from app.crypto import Cipher
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import Occasion, Status
from app.store.audit import audit
from app.store.cipher import open_cipher
from app.store.database import connected
from app.store.letters import Letters
from app.store.models import Attempt, Delivery
from tests.acceptance.kills import POINTS
from tests.acceptance.servers import PATIENCE, Program
from tests.smtp_server import MailServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEY = "k" * 32


@dataclass(frozen=True)
class Left:
    """What a killed process leaves: the state, whether the hand-over is recorded, and how many mails arrived."""

    status: Status
    handed_over: bool
    arrived: int


LEFT = {
    "after the claim": Left(Status.CLAIMED, handed_over=False, arrived=0),
    "before the hand-over": Left(Status.CLAIMED, handed_over=False, arrived=0),
    "after the hand-over": Left(Status.CLAIMED, handed_over=True, arrived=0),
    "before the first byte": Left(Status.CLAIMED, handed_over=True, arrived=0),
    "after the final dot": Left(Status.CLAIMED, handed_over=True, arrived=1),
    "after the answer": Left(Status.CLAIMED, handed_over=True, arrived=1),
    "before the settle": Left(Status.CLAIMED, handed_over=True, arrived=1),
    "after the settle": Left(Status.SENT, handed_over=False, arrived=1),
    "before the claim": Left(Status.SCHEDULED, handed_over=False, arrived=0),
}
UNCERTAIN = ("before the first byte", "after the final dot")
"""Where no reply was read; the outcome of the others is in the journal or the database."""


@asynccontextmanager
async def _victim(program: Program) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process that scans and is killed at given points."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.acceptance.kills",
        cwd=program.folder,
        env=program.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        await process.wait()


async def _killed_at(victim: asyncio.subprocess.Process, point: str) -> None:
    assert victim.stdin
    assert victim.stdout
    victim.stdin.write(f"{point}\n".encode())
    assert int(await victim.stdout.readline()) == -signal.SIGKILL


async def _leave_one_at_each_point(program: Program, letters: Letters, server: MailServer) -> dict[str, Delivery]:
    """Post a letter for each point, and kill the process that sends it there; return where each was left."""
    left: dict[str, Delivery] = {}
    async with _victim(program) as victim:
        for point in POINTS:  # the last one stays due: no other victim may claim it
            written_at = datetime.now(UTC) - timedelta(days=8)
            await letters.post(Draft(recipient_email=f"reader@{len(left)}.test", body="Hello."), written_at)
            await _killed_at(victim, point)
            left[point] = (await Delivery.filter(occasion=Occasion.FIRST).order_by("id"))[-1]
            await server.has_accepted(sum(LEFT[each].arrived for each in left))
            arrived = _arrivals(server)[left[point].message_id]
            state = Left(left[point].status, left[point].handed_over_at is not None, arrived)
            assert state == LEFT[point], point
    return left


def _arrivals(server: MailServer) -> Counter[str]:
    lines = (line for accepted in server.accepted for line in accepted.message.decode().splitlines())
    return Counter(line.removeprefix("Message-ID: ") for line in lines if line.startswith("Message-ID: "))


async def _at_rest(policy: Literal["resend", "hold"]) -> None:
    """Wait until nothing is claimed or due; another process sends, so the database is polled."""
    moving = [Status.SCHEDULED, Status.CLAIMED, *([Status.UNCERTAIN] if policy == "resend" else [])]
    async with asyncio.timeout(PATIENCE):
        while await Delivery.filter(occasion=Occasion.FIRST, status__in=moving).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("policy", ["resend", "hold"])
async def test_killed_at_every_edge(database_url: str, tmp_path: Path, policy: Literal["resend", "hold"]) -> None:
    async with connected(database_url), MailServer() as server:
        program = Program(
            tmp_path,
            DATABASE_URL=database_url,
            SMTP_URL=f"smtp://127.0.0.1:{server.port}",
            SECRET_KEY=KEY,
            LEASE="PT1H",  # the next victim leaves alone what the one before it left
            SCAN_INTERVAL="PT1S",
            ON_UNCERTAIN=policy,
            ADMIN_PASSWORD="correct horse battery staple",
        )
        cipher = await open_cipher(Cipher([KEY]))
        letters = Letters(
            cipher, first_delay=Delay(days=7), second_delay=Delay(days=30), message_domain="localhost.localdomain"
        )
        left = await _leave_one_at_each_point(program, letters, server)
        program.environment["MAILBOX_LEASE"] = "PT1S"
        heir = program.serve()
        await asyncio.to_thread(heir.__enter__)
        try:
            await _at_rest(policy)
        finally:
            await asyncio.to_thread(heir.__exit__, None, None, None)
        await _check(left, server, policy)


async def _check(left: dict[str, Delivery], server: MailServer, policy: Literal["resend", "hold"]) -> None:
    arrivals = _arrivals(server)
    for point, before in left.items():
        after = await Delivery.get(id=before.id)
        uncertain = point in UNCERTAIN
        held = uncertain and policy == "hold"
        assert after.status is (Status.UNCERTAIN if held else Status.SENT), point
        assert after.unanswered == int(uncertain), point
        doubled = policy == "resend" and point == "after the final dot"
        missing = policy == "hold" and point == "before the first byte"
        assert arrivals[after.message_id] == 1 + doubled - missing, point
        assert await Attempt.filter(delivery_id=after.id).count() == int(uncertain) + int(not held), point
    assert sum(arrivals.values()) == (len(POINTS) + 1 if policy == "resend" else len(POINTS) - 1)
    ledger = await audit()
    assert ledger.adds_up, ledger
    assert ledger.ever_unanswered == 2
