"""What was typed becomes a letter exactly, or words beside the field: by examples and by property."""

import asyncio
import contextlib
import re
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.letter import BODY_LIMIT, NAME_LIMIT, SUBJECT_LIMIT, Draft
from app.web.form_parsing import MalformedForm, read_multipart, read_urlencoded
from app.web.forms import FIELDS, FormError, read_draft

GOOD = {"recipient_email": "sujin@example.org", "body": "Hello"}
HEADER_FIELDS = ("recipient_email", "recipient_name", "subject", "sender_name", "sender_email")
CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
LONE = st.integers(0xD800, 0xDFFF).map(chr)


def read(**values: str) -> Draft:
    return read_draft(GOOD | values, language="en", timezone="Asia/Seoul")


def faults(**values: str) -> dict[str, str]:
    with pytest.raises(FormError) as caught:
        read(**values)
    return caught.value.words("en")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("sujin@example.org", "sujin@example.org"),
        (" sujin+sea@example.org ", "sujin+sea@example.org"),
        ("Su.Jin@EXAMPLE.org", "Su.Jin@example.org"),
        ("sujin@우체통.한국", "sujin@xn--vo5b23i2ve.xn--3e0b707e"),
        ("sujin@bücher.example", "sujin@xn--bcher-kva.example"),
        ("reader@mail.test", "reader@mail.test"),
    ],
)
def test_an_address_is_kept_with_its_domain_as_a_label(typed: str, kept: str) -> None:
    assert read(recipient_email=typed).recipient_email == kept


@pytest.mark.parametrize("name", ["recipient_email", "sender_email"])
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("a@example.org, b@example.org", "exactly one"),
        ("a@example.org;b@example.org", "exactly one"),
        ("a@example.org b@example.org", "exactly one"),
        ("a@b@example.org", "exactly one"),
        ("수진@example.org", "before the @"),
        ("a@example.org\r\nBcc: b@example.org", "line break"),
        ("a@example.org\n", "line break"),
        ("a\r@example.org", "line break"),
        ("a\0@example.org", "line break"),
        ("a\u2028@example.org", "line break"),
        ("nobody", "is not an e-mail address"),
        ("@example.org", "is not an e-mail address"),
        ("nobody@", "is not an e-mail address"),
        ("a@localhost", "is not an e-mail address"),
        ("a@[127.0.0.1]", "is not an e-mail address"),
        ('"a"@example.org', "is not an e-mail address"),
        ("<a@example.org>", "is not an e-mail address"),
        ("a@-example.org", "is not an e-mail address"),
        ("a" * 250 + "@example.org", "at most 254"),
        ("a" * 65 + "@example.org", "is not an e-mail address"),
    ],
)
def test_anything_but_one_address_is_refused(name: str, typed: str, words: str) -> None:
    assert words in faults(**{name: typed})[name]


@pytest.mark.parametrize("name", HEADER_FIELDS)
@pytest.mark.parametrize("sign", [*CONTROLS, "\u2028", "\u2029", "\ud800"])
def test_controls_are_refused_in_every_header_field(name: str, sign: str) -> None:
    typed = f"su{sign}jin@example.org" if name.endswith("email") else f"su{sign}jin"
    assert list(faults(**{name: typed})) == [name]


@pytest.mark.parametrize("sign", sorted(set(CONTROLS) - set("\t\n")))
def test_controls_are_refused_in_the_letter(sign: str) -> None:
    assert "(character 3)" in faults(body=f"ab{sign}c")["body"]


def test_a_tab_and_line_ends_are_no_controls() -> None:
    assert read(body="a\tb\r\nc\r\n\n").body == "a\tb\nc\n\n"


@pytest.mark.parametrize("body", ["", " ", "\r\n\r\n", "\t \n", "\u3000"])
def test_an_empty_letter_is_refused(body: str) -> None:
    assert "still empty" in faults(body=body)["body"]


@pytest.mark.parametrize(
    ("name", "limit"),
    [("body", BODY_LIMIT), ("subject", SUBJECT_LIMIT), ("recipient_name", NAME_LIMIT), ("sender_name", NAME_LIMIT)],
)
def test_the_longest_text_fits_and_one_more_character_does_not(name: str, limit: int) -> None:
    assert getattr(read(**{name: "😀" * limit}), name) == "😀" * limit
    assert (
        f"Please use at most {limit:,} characters; this has {limit + 1:,}."
        == faults(**{name: "가" * (limit + 1)})[name]
    )


def test_characters_are_counted_as_people_count_them() -> None:
    family = "👨‍👩‍👧‍👦"  # seven code points, one character
    assert read(sender_name=family * 40).sender_name == family * 40
    assert read(recipient_name="각" * NAME_LIMIT).recipient_name == "각" * NAME_LIMIT
    assert "this has 101" in faults(sender_name="e\u0301" * (NAME_LIMIT + 1))["sender_name"]


def test_a_character_without_end_is_counted_by_its_parts() -> None:
    assert "this has 501" in faults(sender_name="e" + "\u0301" * 500)["sender_name"]


def test_what_makes_no_mail_of_a_size_that_is_shown_whole_is_refused() -> None:
    assert read(body="&" * 17_000).body
    assert "shorten it by about 2,401 characters" in faults(body="&" * BODY_LIMIT)["body"]


def test_a_line_end_of_two_bytes_counts_once() -> None:
    assert len(read(body="a\r\n" * (BODY_LIMIT // 2)).body) == BODY_LIMIT


@pytest.mark.parametrize(
    "body",
    [
        ".\n..\n.",
        "From here\n>From there",
        "שלום \u202eעולם\u202c",
        "각 vs 각",  # composed and decomposed: neither is touched
        "👨‍👩‍👧‍👦 <b>&amp;</b> {{ 7 * 7 }} %(x)s",
        "  leading and trailing  \n",
    ],
)
def test_a_letter_is_kept_exactly(body: str) -> None:
    assert read(body=body).body == body


def test_time_zone_and_language_go_with_the_letter() -> None:
    assert read().timezone == "Asia/Seoul"
    assert read(timezone="Europe/Lisbon").timezone == "Europe/Lisbon"
    assert read_draft(GOOD, language="ko", timezone="UTC").language == "ko"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "asia/seoul", "../etc/passwd", "Asia/Seoul\n", "localtime", " "])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    assert "not a known time zone" in faults(timezone=zone)["timezone"]


def test_everything_wrong_is_said_at_once_and_in_both_languages() -> None:
    with pytest.raises(FormError) as caught:
        read_draft({"timezone": "x", "subject": "\0"}, language="en", timezone="UTC")
    english, korean = caught.value.words("en"), caught.value.words("ko")
    assert list(english) == list(korean) == ["recipient_email", "subject", "body", "timezone"]
    assert all(re.search("[가-힣]", words) for words in korean.values())


anything = st.text(st.one_of(st.characters(exclude_categories=()), LONE, st.sampled_from(CONTROLS + "@,;\r\n")))


@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, anything)))
def test_whatever_is_typed_becomes_a_letter_or_words(values: dict[str, str]) -> None:
    try:
        draft = read_draft(values, language="ko", timezone="UTC")
    except FormError as rejected:
        words = rejected.words("ko")
    else:
        check(draft)
        words = {"": "none"}
    assert all(words.values())


def check(draft: Draft) -> None:
    for name in HEADER_FIELDS:
        assert not set(getattr(draft, name)) & set(CONTROLS)
    assert draft.recipient_email.isascii()
    assert draft.recipient_email.count("@") == 1


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip))
def test_every_letter_of_plain_characters_is_kept_exactly(body: str) -> None:
    assert read(body=body).body == body


@given(st.from_regex(r"[a-z0-9]{1,20}@[a-z0-9]{1,20}\.(org|kr)", fullmatch=True))
def test_plain_addresses_are_taken(address: str) -> None:
    assert read(recipient_email=address).recipient_email == address


_PIECES = st.sampled_from([b"a", b"+", b"=", b"&", b"%", b"%4", b"%20", b"%26", b"%eb%8A%90", b"%ff", "느".encode()])


@given(st.lists(_PIECES, max_size=20).map(b"".join))
def test_a_form_says_what_the_standard_library_reads_in_it(body: bytes) -> None:
    try:
        expected = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(MalformedForm):
            read_urlencoded(body)
    else:
        assert read_urlencoded(body) == expected


@given(st.binary())
def test_any_bytes_are_a_form_or_unreadable(body: bytes) -> None:
    with contextlib.suppress(MalformedForm):
        assert isinstance(read_urlencoded(body), list)
    with contextlib.suppress(MalformedForm):
        assert isinstance(asyncio.run(read_multipart("multipart/form-data; boundary=x", body)), list)
