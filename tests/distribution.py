"""In what order several workers run the tests: what takes seconds comes first, and is spread evenly.

xdist's `worksteal` gives each worker a part of the list, one behind the other, and whoever is idle takes
from the end of another's. Were a storm or a walk through all pages there, the others would stand idle at the end.
"""

from collections.abc import Iterable
from itertools import groupby

import pytest

_HEAVY = 10
"""As many tests as a module of quick ones counts for that shares a server which is slow to start."""


def spread(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests so that the part of each worker begins with as much that is long as any other's."""
    lanes: list[list[pytest.Item]] = [[] for _ in range(workers)]
    weights = [0] * workers
    for group in sorted(_groups(filter(_is_long, items)), key=len, reverse=True):
        lightest = weights.index(min(weights))
        lanes[lightest] += group
        weights[lightest] += min(len(group), _HEAVY)
    quick = iter([item for item in items if not _is_long(item)])
    left = len(items)
    for number, lane in enumerate(lanes):
        size = left // (workers - number)  # as xdist counts it
        lane.extend(item for _, item in zip(range(size - len(lane)), quick, strict=False))
        left -= size
    return [*(item for lane in lanes for item in lane), *quick]


def _is_long(item: pytest.Item) -> bool:
    return "browser" in item.path.parts or item.get_closest_marker("slow") is not None


def _groups(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """Return the tests of each module, which may share a server; those in real processes each by itself."""
    groups = []
    for path, found in groupby(items, lambda item: item.path):
        together = list(found)
        groups += [[item] for item in together] if "acceptance" in path.parts else [together]
    return groups
