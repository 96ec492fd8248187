"""The memory of one process while very many due letters go out."""

import time

from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.preparation import fill
from tests.bench.processes import Child, child, memory
from tests.bench.report import Bound, say
from tests.bench.sink import Sink, sink

_EACH = 1e-3  # seconds to write a letter and to send it
_LOOKS = 10


def growing(bench: Bench) -> None:
    """Print its size at every tenth of the way, as it gets there."""
    letters = bench.sizes.wave
    if not bench.bound.allows(letters * _EACH, f"the memory of a wave of {letters:,}"):
        return
    url = bench.databases.new("postgres")
    fill(url, letters)
    say(f"\nMemory of one process on PostgreSQL while {letters:,} due letters go out")
    with sink(bench.folder) as server:
        program = ours.program(bench.folder / "ours", url, server.port)
        with child(ours.SCAN, bench.said, program.environment, program.folder) as process:
            _follow(process, server, letters, bench.bound)
        say(f"  at most {process.peak:.0f} MiB; {server.arrived():,} arrived")
    bench.databases.drop(url)


def _follow(process: Child, server: Sink, letters: int, bound: Bound) -> None:
    looks = 0
    while process.look() and bound.left > 0:
        if server.arrived() >= letters * (looks + 1) // _LOOKS:
            looks += 1
            say(f"  {letters * looks // _LOOKS:12,}  {memory(process.pid, 'VmRSS'):6.1f} MiB")
        time.sleep(0.02)
