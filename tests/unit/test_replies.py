"""Parsing replies."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.smtp.replies import MAX_REPLY_BYTES, MalformedReply, ReplyLines, ReplyReader, parse_reply

CONVERSATION = (
    b"250 2.1.0 ok\r\n"
    b"250-2.1.5 first\r\n250-\r\n250 2.1.5 last\r\n"
    b"354\r\n"
    b"550-5.1.1 no\n550 5.1.1 such\n"
    b"421 \xff\x00\r\n"
)
ANSWERS = [
    (250, b"2.1.0 ok"),
    (250, b"2.1.5 first\n\n2.1.5 last"),
    (354, b""),
    (550, b"5.1.1 no\n5.1.1 such"),
    (421, b"\xff\x00"),
]


@given(st.sets(st.integers(min_value=1, max_value=len(CONVERSATION) - 1)))
def test_packets_may_be_cut_anywhere(cuts: set[int]) -> None:
    reader = ReplyReader()
    edges = [0, *sorted(cuts), len(CONVERSATION)]
    read: list[ReplyLines] = []
    for start, end in pairwise(edges):
        read += reader.feed(CONVERSATION[start:end])
    assert read == ANSWERS


@pytest.mark.parametrize(
    "line",
    [
        b"\r\n",
        b"hello\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"250_ok\r\n",
        b" 250 ok\r\n",
        b"250-one\r\n251 two\r\n",
        b"250-one\r\n550 two\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x01\x00\x02\x02\n",
    ],
)
def test_a_malformed_reply_is_reported_after_the_complete_ones(line: bytes) -> None:
    answers = ReplyReader().feed(b"250 fine\r\n" + line)
    assert next(answers) == (250, b"fine")
    with pytest.raises(MalformedReply):
        next(answers)


@pytest.mark.parametrize("endless", [b"x", b"250 " + b"x" * 999, b"250-\r\n", b"250-" + b"x" * 500 + b"\r\n"])
def test_a_reply_without_an_end_is_bounded(endless: bytes) -> None:
    reader = ReplyReader()
    for _ in range(MAX_REPLY_BYTES // len(endless)):
        assert list(reader.feed(endless)) == []
    with pytest.raises(MalformedReply):
        list(reader.feed(endless))


@pytest.mark.parametrize(
    "line", [b"250-\r\n", b"250-" + b"x" * 500 + b"\r\n", b"250 " + b"x" * MAX_REPLY_BYTES + b"\r\n"]
)
def test_a_huge_reply_in_one_packet_is_bounded(line: bytes) -> None:
    with pytest.raises(MalformedReply):
        list(ReplyReader().feed(line * (2 * MAX_REPLY_BYTES // len(line)) + b"250 ok\r\n"))


@pytest.mark.parametrize(
    ("answer", "enhanced", "text"),
    [
        ((550, b"5.1.1 no such user"), "5.1.1", "no such user"),
        ((550, b"5.1.10 null MX"), "5.1.10", "null MX"),
        ((550, b"5.1.1 no\n5.1.1 such user"), "5.1.1", "no such user"),
        ((550, b"5.7.26"), "5.7.26", ""),
        ((450, b"5.1.1 of another class"), "", "5.1.1 of another class"),
        ((550, b"5.1 no code"), "", "5.1 no code"),
        ((550, b"5.1.1, no code"), "", "5.1.1, no code"),
        ((550, b"see RFC 5.1.1 there"), "", "see RFC 5.1.1 there"),
        ((550, b"5.1.1000 no code"), "", "5.1.1000 no code"),
        ((250, b""), "", ""),
        ((550, "5.1.1 그런 사람 없음".encode()), "5.1.1", "그런 사람 없음"),
        ((550, "5.1.1 <a> 존재하지 않는 사용자입니다".encode("euc_kr")), "5.1.1", "<a> 존재하지 않는 사용자입니다"),
        ((550, "메일박스가 꽉 찼습니다, 햏".encode("cp949")), "", "메일박스가 꽉 찼습니다, 햏"),
        ((550, "SMTP서버: 수신 거부".encode("euc_kr")), "", "SMTP서버: 수신 거부"),
        ((550, "5.1.1 Empfänger nicht gefunden".encode("cp1252")), "5.1.1", "Empfänger nicht gefunden"),
        ((550, "l’adresse n’existe pas".encode("cp1252")), "", "l’adresse n’existe pas"),
        (
            (550, "用户不存在，信箱".encode("gb2312")),
            "",
            "".join(f"\\x{b:02x}" for b in "用户不存在，信箱".encode("gb2312")),
        ),
        ((550, b"\x81\x8d latin"), "", "\\x81\\x8d latin"),
        ((550, b"a\x00\x1b[31mb\rc\x7f\xe2\x80\xaed\t e"), "", "a [31mb c d e"),
        ((550, b"x" * 9000), "", "x" * 500),
    ],
)
def test_a_reply_is_code_enhanced_code_and_safe_text(answer: ReplyLines, enhanced: str, text: str) -> None:
    read = parse_reply(answer, "rcpt")
    assert (read.code, read.enhanced, read.text, read.stage) == (answer[0], enhanced, text, "rcpt")


@given(st.binary())
def test_any_text_is_made_safe_to_show(raw: bytes) -> None:
    text = parse_reply((550, raw), "body").text
    assert text.isprintable()
    assert len(text) <= 500
