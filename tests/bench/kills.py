"""Kills at full speed: how many letters arrive twice for each, with `resend`."""

import json
import random
import time
from typing import Any

from tests.acceptance.servers import Program, eventually
from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.preparation import fill
from tests.bench.report import say
from tests.bench.sink import Sink, sink

_LONGEST = 300.0  # seconds until all have been sent


def killing(bench: Bench) -> None:
    """Kill the one server again and again; ask the sink and the audit afterwards."""
    letters, kills = bench.sizes.letters * 2, bench.sizes.kills
    say(f"\n{kills} SIGKILLs of the one process that sends {letters:,} letters at full speed, with resend")
    for kind in ("postgres", "sqlite"):
        if bench.bound.allows(90, f"kills on {kind}"):
            url = bench.databases.new(kind)
            fill(url, letters)
            say(f"  {kind:10} {_storm(bench, url, letters)}")
            bench.databases.drop(url)


def _storm(bench: Bench, url: str, letters: int) -> str:
    kills = bench.sizes.kills
    moments = sorted(random.Random(letters).sample(range(letters * 9 // 10), kills))
    with sink(bench.folder) as server:
        program = ours.program(bench.folder / "ours", url, server.port, LEASE="PT2S", SCAN_INTERVAL="PT1S")
        for moment in moments:
            with program.serve():  # it ends by SIGKILL
                _await(server, moment)
        with program.serve():
            ledger = eventually(lambda: _sent(program, letters), within=_LONGEST)
        doubles = server.arrived() - letters
    return (
        f"arrived twice {doubles} ({doubles / kills:.1f} a kill); the ledger adds up: {ledger['adds_up']}, "
        f"{ledger['by_status']['sent']:,} sent, answers lost {ledger['ever_unanswered']}"
    )


def _await(server: Sink, letters: int) -> None:
    end = time.monotonic() + _LONGEST
    while server.arrived() < letters and time.monotonic() < end:
        time.sleep(0.005)


def _sent(program: Program, letters: int) -> dict[str, Any]:
    """Return the audit once all have been sent, and nothing before."""
    ledger: dict[str, Any] = json.loads(program.run("audit").stdout)
    return ledger if ledger["by_status"]["sent"] >= letters else {}
