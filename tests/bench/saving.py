"""The operator's list of a million deliveries, saved as a table while visitors come to the same process."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from tests.acceptance.servers import Server
from tests.bench.children import cpu, forget_peak, memory
from tests.bench.report import quantile, say
from tests.bench.visitors import get, stroll

_ROWS = 1_000_000
_LONGEST = 90.0  # seconds; a slower machine saves fewer rows
_LOOK = 100_000  # rows between two looks at the memory
_EVERY = 0.02  # seconds between two visitors
_IDLE = 500  # visits


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved: rows, seconds, seconds of CPU, and MiB of memory before, after each `_LOOK` rows, and at most."""

    rows: int
    took: float
    cpu: float
    sizes: tuple[float, ...]
    peak: float


def saving(server: Server, session: str) -> None:
    """Print what a table of a million rows takes, and how long visitors wait meanwhile."""
    port, page = urlsplit(server.base).port or 0, get("/")
    idle = stroll(port, page, _EVERY, lambda visits: visits >= _IDLE)
    with ThreadPoolExecutor(1) as beside:
        saved = beside.submit(_save, server, session)
        visits = stroll(port, page, _EVERY, lambda _: saved.done())
    table = saved.result()
    say(f"  {table.rows:,} rows saved in {table.took:.0f} s, {table.cpu / table.rows * 1e6:.0f} µs of CPU a row")
    say(f"  MiB before, then every {_LOOK:,} rows: {', '.join(f'{each:.1f}' for each in table.sizes)}")
    say(f"  MiB at most: {table.peak:.1f}")
    wait, usual = (quantile(each, 0.99) * 1000 for each in (visits, idle))
    say(f"  p99 of GET / meanwhile: {wait:.1f} ms; idle {usual:.1f}")


def _save(server: Server, session: str) -> Saved:
    forget_peak(server.pid)  # the login's: argon2id takes 46 MiB
    sizes, rows, before, begun = [memory(server.pid, "VmRSS")], -1, cpu(server.pid), time.monotonic()
    address = f"{server.base}/admin/deliveries.csv"
    with httpx.stream("GET", address, headers={"Cookie": session}, timeout=_LONGEST) as answer:
        for part in answer.iter_bytes(2**16):
            rows += part.count(b"\n")
            if rows >= len(sizes) * _LOOK:
                sizes.append(memory(server.pid, "VmRSS"))
            if rows >= _ROWS or time.monotonic() > begun + _LONGEST:
                break
    took, burnt = time.monotonic() - begun, cpu(server.pid) - before
    return Saved(rows, took, burnt, tuple(sizes), memory(server.pid, "VmHWM"))
