"""The Korean of all there is: nothing left in English, nothing left over, nothing lost."""

import io
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from app.templating import translations

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted((ROOT / "app/locale/ko/LC_MESSAGES").glob("*.po"))
HANGUL = re.compile("[가-힣]")
each_catalogue = pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)


@cache
def said() -> dict[str, str]:
    """Return every sentence of the templates and of the program, with the file it stands in."""
    found: dict[str, str] = {}
    for folder, methods in {"templates": [("**", "jinja2")], "app": [("**.py", "python")]}.items():
        options = {"**": {"trimmed": "true"}}
        for name, _, message, _, _ in extract_from_dir(ROOT / folder, methods, options_map=options):
            forms = [message] if isinstance(message, str) else list(message or ())
            found[forms[0]] = f"{folder}/{name}"
    return found


def catalogue(path: Path) -> Catalog:
    return read_po(io.BytesIO(path.read_bytes()), locale="ko")


def sentences(path: Path) -> list[str]:
    """Return what a catalogue translates, a plural by its singular."""
    return [message.id if isinstance(message.id, str) else message.id[0] for message in catalogue(path) if message.id]


def test_every_sentence_is_said_in_korean() -> None:
    assert len(said()) > 200
    korean = translations("ko")
    assert {
        text: place
        for text, place in said().items()
        if not HANGUL.search(korean.gettext(text) + korean.ngettext(text, text, 1))
    } == {}


@each_catalogue
def test_a_catalogue_holds_nothing_that_is_not_said(path: Path) -> None:
    assert [text for text in sentences(path) if text not in said()] == []


@each_catalogue
def test_no_value_is_lost_in_translation(path: Path) -> None:
    assert [(message.id, errors) for message, errors in catalogue(path).check()] == []


def test_nothing_is_said_in_two_ways() -> None:
    ways = defaultdict(list)
    for path in CATALOGUES:
        for english in sentences(path):
            ways[english].append(path.name)
    assert {english: names for english, names in ways.items() if len(names) > 1} == {}
