"""The Korean of the mails: nothing left in English, nothing left over."""

import io
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from app.rendering import translations

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "app/locale/ko/LC_MESSAGES/emails.po"
SOURCES = [("emails/**", "jinja2")]


def said() -> set[str]:
    """Return every sentence of the mails' templates, and of `compose.py`."""
    options = {"emails/**": {"trimmed": "true"}}
    found = extract_from_dir(str(ROOT / "templates"), SOURCES, options)
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


def test_every_sentence_is_said_in_korean() -> None:
    sentences = said()
    assert len(sentences) > 20
    assert [sentence for sentence in sentences if translations("ko").ugettext(sentence) == sentence] == []


def test_the_catalogue_holds_nothing_that_is_not_said() -> None:
    catalogue = read_po(io.BytesIO(CATALOGUE.read_bytes()), locale="ko")
    plural = {"%(days)d day"}
    ids = {message.id if isinstance(message.id, str) else message.id[0] for message in catalogue if message.id}
    assert ids - said() == plural


def test_no_other_catalogue_says_it_in_other_words() -> None:
    catalogue = read_po(io.BytesIO(CATALOGUE.read_bytes()), locale="ko")
    ours = {message.id: message.string for message in catalogue if message.id and isinstance(message.id, str)}
    assert {sentence: translations("ko").ugettext(sentence) for sentence in ours} == ours


def test_no_value_is_lost_in_translation() -> None:
    catalogue = read_po(io.BytesIO(CATALOGUE.read_bytes()), locale="ko")
    assert [(message.id, errors) for message, errors in catalogue.check()] == []
