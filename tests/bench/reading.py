"""`GET /` while a wave goes out in the same process, beside the same when nothing does."""

import time
from urllib.parse import urlsplit

from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.preparation import fill
from tests.bench.report import Rounds, quantile, say
from tests.bench.sink import sink
from tests.bench.visitors import get, stroll

_EVERY = 0.02  # seconds between two visitors
_IDLE = 500  # visits
_LONGEST = 120.0  # seconds
_SHARES = {"p50": 0.5, "p99": 0.99}


def reading(bench: Bench) -> None:
    """Compare how long visitors wait."""
    letters, rounds = bench.sizes.letters, Rounds()
    kinds = ("postgres", "sqlite")
    prepared = {kind: bench.databases.new(kind) for kind in kinds}
    for url in prepared.values():
        fill(url, letters)
    for number in range(bench.sizes.rounds):
        if number and not bench.bound.allows(90, f"round {number + 1} of reading"):
            break
        for kind in kinds:
            with bench.databases.copied(prepared[kind]) as url:
                _visit(bench, rounds, kind, url)
    say(f"\nGET / while {letters:,} due letters go out in the same process; a visitor every {_EVERY * 1000:.0f} ms")
    for kind in kinds:
        for which in _SHARES:
            wave, idle = f"{kind} {which}", f"{kind} {which} idle"
            times = rounds.ratio(wave, idle)
            say(f"  {wave:14} {rounds.median(wave):7.1f} ms, idle {rounds.median(idle):6.1f} ms: {times:.1f} x")


def _visit(bench: Bench, rounds: Rounds, kind: str, url: str) -> None:
    letters, page = bench.sizes.letters, [get("/")]
    with sink(bench.folder) as server:
        program = ours.program(bench.folder / "ours", url, server.port)
        with program.serve() as serving:
            port = urlsplit(serving.base).port or 0
            end = time.monotonic() + _LONGEST
            left = letters - server.arrived()
            wave = stroll(port, page, _EVERY, lambda _: server.arrived() >= letters or time.monotonic() > end)
            if left < letters // 2 or server.arrived() < letters:
                say(f"  {kind}: {left:,} letters were left as visitors came, {server.arrived():,} arrived")
            time.sleep(2)  # the last endings are written
            idle = stroll(port, page, _EVERY, lambda visits: visits >= _IDLE)
    for which, share in _SHARES.items():
        rounds.add(f"{kind} {which}", quantile(wave, share) * 1000)
        rounds.add(f"{kind} {which} idle", quantile(idle, share) * 1000)
