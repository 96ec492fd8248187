"""`slow-mailbox` on a machine whose clock jumps: `python -m tests.acceptance.clock_jumps serve`.

The wall clock is off by the seconds in the file `clock` of the working folder. Two programs read the wall
clock: ours and APScheduler. The kernel calls the clock synchronised: otherwise sending waits after a jump.
"""

from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from apscheduler.executors import base as executors
from apscheduler.schedulers import base as schedulers

from app import clock
from app.cli import main

OFF = Path("clock")


class Jumping:
    """Replaces `datetime`, of which both use only `now`."""

    @staticmethod
    def now(zone: tzinfo | None = None) -> datetime:
        off = OFF.read_text() if OFF.exists() else ""
        return datetime.now(zone) + timedelta(seconds=float(off or 0))


if __name__ == "__main__":
    for module in (clock, executors, schedulers):
        vars(module)["datetime"] = Jumping
    type.__setattr__(clock.SystemClock, "synchronised", lambda _: True)
    main()
