"""The scan that finds nothing due, and `/metrics`, over ever more deliveries to come."""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

from app.clock import SystemClock
from app.settings import Settings
from app.wiring import build_worker, open_services
from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.preparation import KEY
from tests.bench.report import quantile, say
from tests.bench.schedule import Schedule
from tests.bench.visitors import get, repeat

_SCANS = 200
_GUESS = 60e-6  # seconds to write a delivery, before the first ones told


def scanning(bench: Bench) -> None:
    """Measure one minute's look at the ledger, and `/metrics` of a process that serves."""
    say("\nAn empty scan, and /metrics, over deliveries to come")
    for kind in ("postgres", "sqlite"):
        schedule = Schedule(bench.databases.new(kind))
        each = _GUESS
        for deliveries in bench.sizes.schedule:
            if not bench.bound.allows(deliveries * each * 1.5, f"{deliveries:,} deliveries on {kind}"):
                continue
            begun = time.monotonic()
            schedule.grow(deliveries)
            if deliveries > 100_000:
                each = (time.monotonic() - begun) / deliveries
            for name, took in look(bench.folder / "ours", schedule.url).items():
                middle, slow = quantile(took, 0.5) * 1000, quantile(took, 0.99) * 1000
                say(f"  {kind:10} {deliveries:12,}  {name:10} {middle:7.2f} ms in the middle, {slow:7.2f} ms at p99")
        bench.databases.drop(schedule.url)


def look(folder: Path, url: str) -> dict[str, list[float]]:
    """Return the seconds that each look at this ledger takes; Prometheus asks a process that serves."""
    scans = asyncio.run(_scans(url))
    with ours.program(folder, url, 1, PAUSED="on").serve() as server:
        return {"scan": scans, "/metrics": repeat(urlsplit(server.base).port or 0, get("/metrics"))}


async def _scans(url: str) -> list[float]:
    settings = Settings(database_url=url, secret_key=(KEY,), smtp_url="smtp://127.0.0.1:1")
    took = []
    async with open_services(settings, SystemClock()) as services, build_worker(services, leads=False) as worker:
        for _ in range(_SCANS):
            begun = time.perf_counter()
            assert await worker.dispatcher.run() == 0
            took.append(time.perf_counter() - begun)
    return took
