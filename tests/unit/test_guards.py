"""Rows P1 to P15 of the bar for the web have a test each; `python -m tests.guards` shows that it can fail."""

import re

import pytest

from tests.guards import GUARDS, ROOT, Guard


def test_every_row_has_a_test() -> None:
    assert {guard.row for guard in GUARDS} == {f"P{number}" for number in range(1, 16)}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.row}-{guard.test.rpartition('::')[2]}")
def test_guard_and_test_are_where_they_are_said_to_be(guard: Guard) -> None:
    assert guard.text in (ROOT / guard.path).read_text()
    path, _, name = guard.test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
