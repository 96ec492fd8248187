"""The admin pages have a label for every state, kind, action and event, in both languages."""

from enum import StrEnum

import pytest

from app.domain.status import Action, AttemptResult, Event, HeldReason, Occasion, Status
from app.templating import LANGUAGES, environment


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("template", "name", "kinds"),
    [
        ("labels", "states", [Status]),
        ("labels", "occasions", [Occasion]),
        ("labels", "reasons", [HeldReason]),
        ("labels", "outcomes", [AttemptResult]),
        ("action_names", "action_names", [Action, Event]),
    ],
)
def test_every_value_has_its_own_label(language: str, template: str, name: str, kinds: list[type[StrEnum]]) -> None:
    words = getattr(environment(language).get_template(f"admin/{template}.html").module, name)
    assert list(words) == [str(each) for kind in kinds for each in kind]
    assert len(set(words.values())) == len(words)
