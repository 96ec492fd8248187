"""Each row of the bar for web and delivery has a test; `python -m tests.guards` shows that it can fail."""

import re

import pytest

from tests.guards import GUARDS
from tests.guards.guard import ROOT, Guard


def test_every_row_has_a_test() -> None:
    rows = {guard.row for guard in GUARDS}
    assert rows >= {f"P{number}" for number in range(1, 21)}
    assert rows >= {f"S{number}" for number in range(1, 12) if number != 8}  # no row has this number


@pytest.mark.parametrize(
    "guard", GUARDS, ids=lambda guard: f"{guard.row}-{guard.test.rpartition('::')[2]}-{guard.text}"
)
def test_guard_and_test_are_where_they_are_said_to_be(guard: Guard) -> None:
    assert guard.text in (ROOT / guard.path).read_text()
    path, _, name = guard.test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
