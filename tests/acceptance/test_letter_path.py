"""How much of the source a letter passes: files of `app/`, moves between them, and calls of Python functions."""

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

import pytest
import structlog

from app.domain.letter import Draft
from app.settings import Settings
from app.store.database import transaction
from app.wiring import Services, build_worker, open_services
from tests.acceptance.forks import ROOT
from tests.acceptance.mailserver import mail_server
from tests.acceptance.seed import KEY
from tests.clock import FrozenClock
from tests.web.requests import asking, posted

FORM_TO_LEDGER = {"files": 29, "moves": 130}
DUE_TO_SETTLED = {"files": 34, "moves": 133, "calls": 600}
"""For each letter, on PostgreSQL. Lower them when the path gets shorter."""
HEADROOM = 1.1
LETTERS = 100
WAVES = 3
APP = f"{ROOT / 'app'}/"

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on the loop of `slow-mailbox serve`, whose own functions are no Python."""
    return "asyncio", {"use_uvloop": True}


class Trace:
    """Counts the calls of Python functions in this thread, resumed coroutines included, while its block runs.

    `moves` counts the calls into `app/` that lead into another file of it than the call into `app/` before.
    """

    def __init__(self) -> None:
        self.files = Counter[str]()
        self.moves = 0
        self.calls = 0
        self._file = ""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        sys.setprofile(self._count)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        self.calls += 1
        file = frame.f_code.co_filename
        if file.startswith(APP):
            self.files[file] += 1
            self.moves += file != self._file
            self._file = file


async def test_from_the_form_to_the_ledger(postgres_url: str, clock: FrozenClock) -> None:
    async with open_services(Settings(database_url=postgres_url), clock) as services, asking(services) as client:
        traces = [Trace() for _ in range(LETTERS)]
        for number, trace in enumerate(traces):
            with trace():
                await posted(client, recipient_email=f"reader{number}@example.org")
    counts = {"files": median(len(trace.files) for trace in traces), "moves": median(trace.moves for trace in traces)}
    _compare(counts, FORM_TO_LEDGER)


async def test_from_due_to_settled(postgres_url: str, clock: FrozenClock, tmp_path: Path) -> None:
    with _quiet_log(), mail_server(tmp_path) as mails:
        settings = Settings(database_url=postgres_url, smtp_url=mails.url, secret_key=(KEY,))
        async with open_services(settings, clock) as services, build_worker(services, leads=False) as worker:
            traces = [Trace() for _ in range(WAVES)]
            for trace in [Trace(), *traces]:  # the first wave opens the connections
                await _post(services, LETTERS)
                clock.advance(timedelta(days=7))
                with trace():
                    await worker.dispatcher.drain()
        assert len(mails.arrived()) == LETTERS * (WAVES + 1)
    # A busy machine settles smaller groups, so the best wave counts; a heartbeat within a wave is not of a letter.
    counts = {
        "files": min(len([file for file, calls in trace.files.items() if calls > LETTERS / 10]) for trace in traces),
        "moves": min(trace.moves for trace in traces) / LETTERS,
        "calls": min(trace.calls for trace in traces) / LETTERS,
    }
    _compare(counts, DUE_TO_SETTLED)


@contextmanager
def _quiet_log() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


async def _post(services: Services, letters: int) -> None:
    async with transaction():
        for number in range(letters):
            draft = Draft(recipient_email=f"reader{number}@example.org", body="Hello")
            await services.letters.post(draft, services.clock.now())


def _compare(counts: dict[str, float], limits: dict[str, int]) -> None:
    assert counts["files"] > 5  # or nothing was traced
    assert {name: count for name, count in counts.items() if count > limits[name] * HEADROOM} == {}
