"""The order of tests under xdist: slow tests run first, spread evenly over the workers.

`worksteal` gives each worker a contiguous part of the list, and an idle worker takes tests from the
end of another's part; slow tests there would leave the other workers idle at the end.
"""

from collections.abc import Iterable
from itertools import groupby

import pytest

_HEAVY = 10
"""The most that a module of quick tests which share a slowly starting server counts for."""


def spread(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests so that each worker's part begins with an equal share of slow ones."""
    lanes: list[list[pytest.Item]] = [[] for _ in range(workers)]
    weights = [0] * workers
    for group in sorted(_groups(filter(_is_slow, items)), key=len, reverse=True):
        lightest = weights.index(min(weights))
        lanes[lightest] += group
        weights[lightest] += min(len(group), _HEAVY)
    quick = iter([item for item in items if not _is_slow(item)])
    left = len(items)
    for number, lane in enumerate(lanes):
        size = left // (workers - number)  # as xdist counts it
        lane.extend(item for _, item in zip(range(size - len(lane)), quick, strict=False))
        left -= size
    return [*(item for lane in lanes for item in lane), *quick]


def _is_slow(item: pytest.Item) -> bool:
    return "browser" in item.path.parts or item.get_closest_marker("slow") is not None


def _groups(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """Return the tests by module, because they may share a server; acceptance tests one by one."""
    groups = []
    for path, tests in groupby(items, lambda item: item.path):
        module = list(tests)
        groups += [[item] for item in module] if "acceptance" in path.parts else [module]
    return groups
