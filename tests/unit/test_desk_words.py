"""The desk has a word for everything that it may have to tell, in both languages."""

from enum import StrEnum

import pytest

from app.domain.actions import Action, Deed
from app.domain.status import HeldReason, Occasion, Outcome, Status
from app.rendering import LANGUAGES, environment


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("template", "name", "kinds"),
    [
        ("words", "states", [Status]),
        ("words", "occasions", [Occasion]),
        ("words", "reasons", [HeldReason]),
        ("words", "outcomes", [Outcome]),
        ("deeds", "deeds", [Action, Deed]),
    ],
)
def test_nothing_is_without_a_word(language: str, template: str, name: str, kinds: list[type[StrEnum]]) -> None:
    words = getattr(environment(language).get_template(f"admin/{template}.html").module, name)
    assert list(words) == [str(each) for kind in kinds for each in kind]
    assert len(set(words.values())) == len(words)
