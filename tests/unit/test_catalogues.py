"""The Korean catalogues: complete, without leftovers, with every placeholder, in one register."""

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
FORMAL = re.compile("니다|습니까|십시오")
INFORMAL = re.compile("(?<!세)요(?=[.,?!:]|$)")  # 세요 and 주세요 are polite requests in both registers
each_catalogue = pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)


@cache
def messages() -> dict[str, str]:
    """Return every message of templates and program by its English text, with the file it is in."""
    found: dict[str, str] = {}
    for folder, methods in {"templates": [("**", "jinja2")], "app": [("**.py", "python")]}.items():
        options = {"**": {"trimmed": "true"}}
        for name, _, message, _, _ in extract_from_dir(ROOT / folder, methods, options_map=options):
            forms = [message] if isinstance(message, str) else list(message or ())
            found[forms[0]] = f"{folder}/{name}"
    return found


def catalogue(path: Path) -> Catalog:
    return read_po(io.BytesIO(path.read_bytes()), locale="ko")


def translated(path: Path) -> dict[str, str]:
    """Return the translations by their English text, a plural by its singular."""
    return {
        message.id if isinstance(message.id, str) else message.id[0]: "".join(message.string or "")
        for message in catalogue(path)
        if message.id
    }


def test_every_message_is_translated() -> None:
    assert len(messages()) > 200
    korean = translations("ko")
    assert {
        text: place
        for text, place in messages().items()
        if not HANGUL.search(korean.gettext(text) + korean.ngettext(text, text, 1))
    } == {}


@each_catalogue
def test_a_catalogue_holds_no_unused_message(path: Path) -> None:
    assert [text for text in translated(path) if text not in messages()] == []


@each_catalogue
def test_every_placeholder_is_translated(path: Path) -> None:
    assert [(message.id, errors) for message, errors in catalogue(path).check()] == []


@each_catalogue
def test_a_catalogue_keeps_to_its_register(path: Path) -> None:
    other = FORMAL if path.stem == "pages" else INFORMAL
    questions = ("까요?", "나요?")
    assert [text for text in translated(path).values() if other.search(text) and not text.endswith(questions)] == []


def test_no_message_is_translated_twice() -> None:
    files = defaultdict(list)
    for path in CATALOGUES:
        for english in translated(path):
            files[english].append(path.name)
    assert {english: names for english, names in files.items() if len(names) > 1} == {}
