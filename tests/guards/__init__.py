"""What the rows of the bar rest on: each a guard, and a test that fails without it (see `__main__`).

The suite itself only looks that every row has one, and that guard and test are where they are said to be.
"""

from tests.guards.delivery import DELIVERY
from tests.guards.web import WEB

GUARDS = (*WEB, *DELIVERY)
