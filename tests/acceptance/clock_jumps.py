"""`slow-mailbox` on a machine whose clock jumps: `python -m tests.acceptance.clock_jumps serve`.

The wall clock is as many seconds off as the file `clock` in the working folder says. Two modules ask
for the time of day: ours, and APScheduler's.
"""

from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from apscheduler.executors import base as executors
from apscheduler.schedulers import base as schedulers

from app import clock
from app.cli import main

OFF = Path("clock")


class Jumping:
    """Stands for `datetime`, of which they use nothing else."""

    @staticmethod
    def now(zone: tzinfo | None = None) -> datetime:
        off = OFF.read_text() if OFF.exists() else ""
        return datetime.now(zone) + timedelta(seconds=float(off or 0))


if __name__ == "__main__":
    for module in (clock, executors, schedulers):
        vars(module)["datetime"] = Jumping
    main()
