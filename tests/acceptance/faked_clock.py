"""`slow-mailbox` on a machine whose kernel says what a test wants: `python -m tests.acceptance.faked_clock serve`.

The clock is synchronised while the file `synchronised` is in the working folder. LONGEST_WAIT in the environment
replaces the ten minutes. libfaketime sets the clock itself.
"""

import os
from pathlib import Path

from app import clock
from app.cli import main
from app.delivery import clock_check

SYNCHRONISED = Path("synchronised")

if __name__ == "__main__":
    vars(clock_check)["LONGEST_WAIT"] = float(os.environ.get("LONGEST_WAIT", "600"))
    type.__setattr__(clock.SystemClock, "synchronised", lambda _: SYNCHRONISED.exists())
    main()
