"""The scan that finds nothing due, over ever more deliveries to come."""

import asyncio
import time

from app.clock import SystemClock
from app.settings import Settings
from app.wiring import build_station, open_mailbox
from tests.bench.bench import Bench
from tests.bench.preparing import KEY
from tests.bench.report import quantile, say
from tests.bench.scheduling import Schedule

_SCANS = 200
_GUESS = 60e-6  # seconds to write a delivery, before the first ones told


def scanning(bench: Bench) -> None:
    """Measure one minute's look at the ledger."""
    say("\nAn empty scan, over deliveries to come")
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
            took = asyncio.run(_scans(schedule.url))
            middle, slow = quantile(took, 0.5) * 1000, quantile(took, 0.99) * 1000
            say(f"  {kind:10} {deliveries:12,}  {middle:7.2f} ms in the middle, {slow:7.2f} ms for the slowest in 100")
        bench.databases.drop(schedule.url)


async def _scans(url: str) -> list[float]:
    settings = Settings(database_url=url, secret_key=(KEY,), smtp_url="smtp://127.0.0.1:1")
    took = []
    async with open_mailbox(settings, SystemClock()) as mailbox, build_station(mailbox, leads=False) as station:
        for _ in range(_SCANS):
            begun = time.perf_counter()
            assert await station.scan.run() == 0
            took.append(time.perf_counter() - begun)
    return took
