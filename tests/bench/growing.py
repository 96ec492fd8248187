"""The memory of one process while very many due letters go out."""

import time

from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.children import child, memory
from tests.bench.preparing import fill
from tests.bench.report import say
from tests.bench.sink import sink

_LONGEST = 900.0  # seconds
_LOOKS = 10


def growing(bench: Bench) -> None:
    """Print its size at every tenth of the way."""
    letters = bench.sizes.wave
    if not bench.bound.allows(letters / 2_000, f"the memory of a wave of {letters:,}"):
        return
    url = bench.databases.new("postgres")
    fill(url, letters)
    sizes: list[float] = []
    with sink(bench.folder) as server:
        program = ours.program(bench.folder / "ours", url, server.port)
        with child(ours.SCAN, bench.said, program.environment, program.folder) as process:
            end = time.monotonic() + min(_LONGEST, bench.bound.left)
            while process.look() and time.monotonic() < end:
                if server.arrived() >= letters * (len(sizes) + 1) // _LOOKS:
                    sizes.append(memory(process.pid, "VmRSS"))
                time.sleep(0.02)
        arrived = server.arrived()
    say(f"\nMemory of one process on PostgreSQL while {letters:,} due letters go out; {arrived:,} arrived")
    say(f"  MiB at each tenth: {', '.join(f'{size:.0f}' for size in sizes)}; at most {process.peak:.0f}")
    bench.databases.drop(url)
