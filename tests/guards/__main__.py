"""`python -m tests.guards`: take each guard away in turn, in a copy of the source, and show that its test goes red.

`python -m tests.guards P4 S1` does so for these rows.
"""

import sys
import tempfile
from pathlib import Path

from tests.guards import GUARDS
from tests.guards.guard import is_noticed


def main() -> None:
    """Show for each guard whether it is missed; exit with 1 if one is not."""
    wanted = sys.argv[1:]
    missed = True
    for guard in GUARDS:
        if not wanted or guard.row in wanted:
            with tempfile.TemporaryDirectory() as folder:
                noticed = is_noticed(guard, Path(folder))
            missed &= noticed
            sys.stdout.write(f"{guard.row:4} {'red' if noticed else 'STILL GREEN'}  {guard.test}\n")
            sys.stdout.flush()
    sys.exit(not missed)


if __name__ == "__main__":
    main()
