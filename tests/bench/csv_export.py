"""The operator's list of a million deliveries, saved as a table while others come to the same process."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from tests.acceptance.servers import Server
from tests.bench.processes import cpu, forget_peak, memory
from tests.bench.report import quantile, say
from tests.bench.visitors import get, stroll

_ROWS = 1_000_000
_LONGEST = 300.0  # seconds; a slower machine saves fewer rows
_LOOK = 100_000  # rows between two looks at the memory
_VISITORS, _OPERATORS = 0.02, 0.2  # seconds between two of them
_IDLE = 5.0  # seconds
_DESK = ("/admin", "/admin/deliveries", "/admin/deliveries/1", "/admin/deliveries?state=failed", "/admin/trail")


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved: rows, seconds, seconds of CPU, and MiB of memory before, after each `_LOOK` rows, and at most."""

    rows: int
    took: float
    cpu: float
    sizes: tuple[float, ...]
    peak: float


def saving(server: Server, session: str) -> None:
    """Print what a table of a million rows takes, and how long visitors and other operators wait meanwhile."""
    end = time.monotonic() + _IDLE
    idle = _company(server, session, lambda: time.monotonic() > end)
    with ThreadPoolExecutor(1) as beside:
        saved = beside.submit(_save, server, session)
        waits = _company(server, session, saved.done)
    table = saved.result()
    each = table.cpu / table.rows * 1e6
    say(
        f"  {table.rows:,} rows saved in {table.took:.0f} s; {each:.0f} µs of CPU for each and those who came meanwhile"
    )
    say(f"  MiB before, then every {_LOOK:,} rows: {', '.join(f'{each:.1f}' for each in table.sizes)}")
    say(f"  MiB at most: {table.peak:.1f}")
    for who, wait in waits.items():
        say(f"  {who} meanwhile: p50 {_ms(wait, 0.5)}, p99 {_ms(wait, 0.99)}; idle p99 {_ms(idle[who], 0.99)} ms")


def _company(server: Server, session: str, enough: Callable[[], bool]) -> dict[str, list[float]]:
    """Return the seconds that visitors, and operators who look around, waited until it was enough."""
    port, desk = urlsplit(server.base).port or 0, [get(path, Cookie=session) for path in _DESK]
    with ThreadPoolExecutor(1) as beside:
        operators = beside.submit(stroll, port, desk, _OPERATORS, lambda _: enough())
        visitors = stroll(port, [get("/")], _VISITORS, lambda _: enough())
        return {"GET /": visitors, "pages of the desk": operators.result()}


def _ms(times: list[float], share: float) -> str:
    return f"{quantile(times, share) * 1000:.1f}"


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
