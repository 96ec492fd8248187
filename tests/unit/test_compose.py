"""A composed message, parsed by the standard library: it holds the written texts, and nothing else."""

import re
import unicodedata
from dataclasses import replace
from datetime import timedelta
from email.header import decode_header, make_header
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.mail.compose import Composer
from app.mail.envelope import Mail
from tests.unit.mails import COMPOSER, ENGLISH, FIRST, KOREAN, LETTERS, MAILBOX_URL, NOTICES, STOP_URL, Page, part, read

FIELDS = [
    *("Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"),
    "X-Auto-Response-Suppress",
]
STOPPING = ["List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"]
MAILS = LETTERS | NOTICES
each_mail = pytest.mark.parametrize("mail", MAILS.values(), ids=MAILS.keys())

unhurried = settings(deadline=None)  # the first of a kind renders its templates
any_text = st.text(st.characters(exclude_categories=["Cs"]))
one_line = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300)
marks = st.sampled_from(
    ["%(body)s", "%s", "%", "\ue000body\ue001", "</pre>", "<b>&amp;", "=?utf-8?b?7Jik?=", "=_slow_mailbox"]
)


# Texts


@unhurried
@given(body=any_text | marks | st.lists(st.sampled_from(["\r", "\n", "\r\n", "a", " ", "."])).map("".join))
@example(body="\n.\nFrom here\n..\n")
@example(body="가" * 20_000)
def test_the_body_arrives_as_it_was_written(body: str) -> None:
    lines = body.replace("\r\n", "\n").replace("\r", "\n")
    message = read(replace(KOREAN, body=body))
    assert f"\n\n{lines}\n\n————" in part(message, "plain")
    html = part(message, "html")
    assert "".join(Page(html).body) == lines
    assert not re.search("<pre[^>]*>\n", html)  # a browser would leave out this line's end


@unhurried
@given(subject=one_line | marks)
@example(subject="word " * 60)
@example(subject="x" * 3000)
@example(subject="👩‍👩‍👧‍👦" * 60)
def test_the_subject_arrives_as_it_was_written(subject: str) -> None:
    written = unicodedata.normalize("NFC", subject).strip()
    assert read(replace(KOREAN, subject=subject))["Subject"] == (written or "2025년 11월 7일에 쓴 편지")


@unhurried
@given(name=one_line | marks)
@example(name='"Jun\\" <root@localhost>, a@example.org')
@example(name="=?utf-8?q?Jun?=")
@example(name="Mina " * 50)
def test_a_name_arrives_as_it_was_written(name: str) -> None:
    written = " ".join(unicodedata.normalize("NFC", name).split())
    message = read(replace(KOREAN, recipient_name=name, sender_name=name))
    (address,) = message["To"].addresses
    assert address.addr_spec == KOREAN.recipient_email
    if len(written.encode()) <= 39 or written.isascii():
        assert address.display_name == written
    else:  # Python 3.11 leaves the space between two encoded words of a phrase, against RFC 2047 §6.2
        words = COMPOSER.compose(replace(KOREAN, recipient_name=name), FIRST).message.partition(b"\r\nTo: ")[2]
        assert str(make_header(decode_header(words.partition(b"\r\n <")[0].decode()))) == written
    assert not written or f": {unicodedata.normalize('NFC', name).strip()}\n" in part(message, "plain")


@unhurried
@given(body=any_text | marks, subject=one_line | marks, recipient_name=one_line | marks, sender_name=one_line | marks)
@example(body="x" * 5000, subject="x" * 5000, recipient_name="x" * 5000, sender_name="x" * 5000)
def test_the_wire_can_carry_whatever_was_written(
    body: str, subject: str, recipient_name: str, sender_name: str
) -> None:
    mail = replace(KOREAN, body=body, subject=subject, recipient_name=recipient_name, sender_name=sender_name)
    message = COMPOSER.compose(mail, FIRST).message
    assert max(message) < 128
    assert 0 not in message
    lines = message.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    head, *parts = message.split(b"--=_slow_mailbox")
    words = [word for line in head.split(b"\r\n") for word in line.split(b" ") if word.startswith(b"=?")]
    assert all(len(word) <= 75 for word in words)
    assert all(len(line) <= 76 for line in head.split(b"\r\n") if b"=?utf-8?b?" in line)
    assert all(len(line) <= 76 for each in parts for line in each.split(b"\r\n"))
    assert _fields(head) == _fields(COMPOSER.compose(KOREAN, FIRST).message)


def _fields(message: bytes) -> list[bytes]:
    return re.findall(rb"(?m)^([A-Za-z-]+):", message.partition(b"\r\n\r\n")[0])


@unhurried
@given(text=st.text(st.characters(min_codepoint=0x80, exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_no_character_is_cut_in_two(text: str) -> None:
    head = COMPOSER.compose(replace(KOREAN, subject=text), FIRST).message.partition(b"\r\nMessage-ID")[0]
    for word in re.findall(rb"=\?utf-8\?b\?[^?]+\?=", head):
        assert decode_header(word.decode())[0][0].decode()


def test_korean_is_put_together_in_header_fields() -> None:
    message = read(replace(KOREAN, subject=unicodedata.normalize("NFD", "첫눈이 오면")))
    assert message["Subject"] == "첫눈이 오면"


# Header injection


@pytest.mark.parametrize("name", ["subject", "recipient_name", "sender_name"])
@pytest.mark.parametrize(
    "control", ["\r", "\n", "\r\nBcc: a@example.org", "\0", "\t", "\x7f", "\x85", "\u2028", "\u2029"]
)
def test_a_control_character_ends_no_header_field(name: str, control: str) -> None:
    changed: dict[str, Any] = {name: f"Mina{control} Kim"}
    with pytest.raises(ValueError, match="control character"):
        COMPOSER.compose(replace(ENGLISH, **changed), FIRST)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "mina",
        "@example.com",
        "mina@",
        "mina@example.com\r\nBcc: jun@example.com",
        "mina@example.com\n",
        "mina@example.com, jun@example.com",
        "mina@example.com jun@example.com",
        "Mina <mina@example.com>",
        '"mi na"@example.com',
        "미나@example.com",
        "mina@예시.한국",
        "mina\0@example.com",
        "a" * 250 + "@example.com",
    ],
)
def test_a_mail_goes_to_exactly_one_plain_address(address: str) -> None:
    with pytest.raises(ValueError, match="one plain address"):
        COMPOSER.compose(replace(ENGLISH, recipient_email=address), FIRST)


@pytest.mark.parametrize("address", ["mina+seoul@example.com", "o'hara@example.co.kr", "a.b@xn--9n2bp8q.xn--3e0b707e"])
def test_a_plain_address_is_left_as_it_is(address: str) -> None:
    envelope = COMPOSER.compose(replace(ENGLISH, recipient_email=address), FIRST)
    assert envelope.recipient == address
    assert f"<{address}>".encode() in envelope.message


@pytest.mark.parametrize("message_id", ["", "x@example.org", "<x>", "<x@example.org>\r\nBcc: a@b", "<x@y> <z@y>"])
def test_a_malformed_message_id_is_refused(message_id: str) -> None:
    with pytest.raises(ValueError, match=r"Message-ID|plain address"):
        COMPOSER.compose(replace(ENGLISH, message_id=message_id), FIRST)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        COMPOSER.compose(replace(ENGLISH, body="\ud83c"), FIRST)


# Header fields


@each_mail
def test_the_header_holds_what_is_needed_and_no_more(mail: Mail) -> None:
    message = read(mail)
    assert sorted(message.keys()) == sorted(FIELDS + (STOPPING if mail.stop_url or mail.mailbox_url else []))
    assert message["Date"].datetime == FIRST
    assert str(message["From"]) == "Slow Mailbox <letters@example.org>"
    assert message["Message-ID"] == mail.message_id
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert not [defect for each in message.walk() for defect in each.defects]


@each_mail
def test_text_comes_first_and_html_second_both_in_base64(mail: Mail) -> None:
    message = read(mail)
    assert message.get_content_type() == "multipart/alternative"
    assert [each.get_content_type() for each in message.iter_parts()] == ["text/plain", "text/html"]
    for each in message.iter_parts():
        assert each.get_content_charset() == "utf-8"
        assert each["Content-Transfer-Encoding"] == "base64"
        assert not each.get_content().isascii()  # rspamd charges a point for base64 without need


def test_composing_again_changes_nothing_but_the_date() -> None:
    now, later = (COMPOSER.compose(KOREAN, FIRST + timedelta(hours=hours)).message for hours in (0, 1))
    assert now != later
    assert now.replace(b"12:40:00", b"13:40:00") == later


def test_a_letter_has_our_sender_and_a_notice_the_null_sender() -> None:
    assert {COMPOSER.compose(mail, FIRST).sender for mail in LETTERS.values()} == {"letters@example.org"}
    assert {COMPOSER.compose(mail, FIRST).sender for mail in NOTICES.values()} == {""}


def test_one_click_stops_a_letter() -> None:
    message = read(LETTERS["stoppable-ko"])
    assert message["List-Unsubscribe"] == f"<{STOP_URL}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == "<slow-mailbox.example.org>"


def test_the_link_to_stop_is_never_folded_however_long_the_host() -> None:
    """The standard library would make an encoded word of it, which no mail program follows."""
    stop_url = f"https://{'a' * 60}.{'b' * 60}.example.org/stop/Zt0b3VnqXw8k1mJ5rYc7dA"
    wire = COMPOSER.compose(replace(KOREAN, stop_url=stop_url), FIRST).message
    assert f"\r\nList-Unsubscribe: <{stop_url}>\r\n".encode() in wire


def test_without_https_the_link_to_stop_stands_in_the_footer_alone() -> None:
    composer = Composer("letters@example.org", "", "http://127.0.0.1:8000", "", "")
    stop_url = "http://127.0.0.1:8000/stop/Zt0b3VnqXw8k1mJ5rYc7dA"
    message = read(replace(ENGLISH, stop_url=stop_url), composer)
    assert not set(STOPPING) & set(message.keys())
    assert f"Stop this letter, or all mail from this site: {stop_url}\n" in part(message, "plain")
    assert f'href="{stop_url}"' in part(message, "html")


@pytest.mark.parametrize("name", ["receipt-en", "refusal-ko", "confirmation-ko", "links-ko"])
def test_one_click_closes_the_mailbox_of_a_notices_recipient(name: str) -> None:
    message = read(NOTICES[name])
    assert message["List-Unsubscribe"] == f"<{MAILBOX_URL}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for kind in ("plain", "html"):
        assert MAILBOX_URL in part(message, kind)


@pytest.mark.parametrize("mail", NOTICES.values(), ids=NOTICES.keys())
def test_a_notice_is_not_stopped_by_a_link_unless_it_asks_the_reader(mail: Mail) -> None:
    message = read(replace(mail, stop_url=STOP_URL, mailbox_url="", confirm_url=""))
    assert not set(STOPPING) & set(message.keys())
    assert STOP_URL not in f"{part(message, 'plain')}{part(message, 'html')}"


def test_the_operators_own_names_are_set_right() -> None:
    composer = Composer(
        "느린 우체통 100% <letters@example.org>", "pier@example.org", "http://127.0.0.1:8000", "A & B <%s>", ""
    )
    message = read(ENGLISH, composer)
    assert str(message["From"]) == "느린 우체통 100% <letters@example.org>"
    assert message["Reply-To"] == "pier@example.org"
    assert "Run by: A & B <%s>\n" in part(message, "plain")
    assert "Run by: A &amp; B &lt;%s&gt;<" in part(message, "html")
    assert "Tell us" not in part(message, "plain")


def test_a_sender_without_a_name_gets_one() -> None:
    composer = Composer("letters@example.org", "", "http://127.0.0.1:8000", "", "")
    assert b"\r\nFrom: Slow Mailbox <letters@example.org>\r\n" in composer.compose(ENGLISH, FIRST).message
