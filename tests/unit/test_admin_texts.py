"""The desk has a word for everything that it may have to tell, in both languages."""

from enum import StrEnum

import pytest

from app.domain.status import Action, AttemptResult, Event, HeldReason, Occasion, Status
from app.templating import LANGUAGES, environment


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("template", "name", "kinds"),
    [
        ("words", "states", [Status]),
        ("words", "occasions", [Occasion]),
        ("words", "reasons", [HeldReason]),
        ("words", "outcomes", [AttemptResult]),
        ("deeds", "deeds", [Action, Event]),
    ],
)
def test_nothing_is_without_a_word(language: str, template: str, name: str, kinds: list[type[StrEnum]]) -> None:
    words = getattr(environment(language).get_template(f"admin/{template}.html").module, name)
    assert list(words) == [str(each) for kind in kinds for each in kind]
    assert len(set(words.values())) == len(words)
