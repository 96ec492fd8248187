"""Reading what a mail server says (RFC 5321 §4.2), however the network cuts it up."""

import re
from collections.abc import Iterator
from contextlib import suppress

from app.domain.retry import Reply, Stage

ReplyLines = tuple[int, bytes]
"""A basic code and the text after it, its lines still apart."""

CLOSING = 421
"""The code with which a server takes leave, whatever it was asked (RFC 5321 §3.8)."""

LONGEST_ANSWER = 16_384
"""Bytes of one answer, all its lines together; a line has 512 by RFC 5321 §4.5.3.1.5."""

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])([^\n]*?))?\r?\n")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_HANGUL = re.compile("[가-힣]")
_TEXT_LIMIT = 500


class MalformedReply(Exception):
    """What arrived is no SMTP reply."""


class ReplyReader:
    """Puts replies together from whatever packets they arrive in."""

    __slots__ = ("_code", "_lines", "_rest", "_size")

    def __init__(self) -> None:
        self._rest = b""
        self._code = b""
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def unfinished(self) -> bool:
        """Whether a reply has begun whose end has not come."""
        return bool(self._rest or self._lines)

    def feed(self, packet: bytes) -> Iterator[ReplyLines]:
        """Yield the answers that `packet` completes.

        Raises Garbage, after what was whole before it, where a line has no code, the lines of
        one reply have different codes, or a reply is longer than LONGEST_ANSWER.
        """
        received = self._rest + packet
        start = 0
        while line := _LINE.match(received, start):
            start = line.end()
            code, mark, text = line.groups(b"")
            self._size += len(line[0])
            if self._size > LONGEST_ANSWER:
                raise MalformedReply("a reply without an end")
            if self._lines and code != self._code:
                raise MalformedReply(f"{code.decode()} in the middle of a reply that began with {self._code.decode()}")
            if mark == b"-":
                self._code = code
                self._lines.append(text)
            else:
                whole = b"\n".join((*self._lines, text))
                self._lines, self._size = [], 0
                yield int(code), whole
        self._rest = received[start:]
        if b"\n" in self._rest:
            raise MalformedReply(f"no reply: {shown(self._rest[:80].decode(errors='replace'))}")
        if len(self._rest) + self._size > LONGEST_ANSWER:
            raise MalformedReply("a reply without an end")


def reply(answer: ReplyLines, stage: Stage) -> Reply:
    """Return an answer in the words of the domain.

    The enhanced code (RFC 3463) counts only where its class is the basic code's first digit
    (RFC 2034 §4). The text is made safe to show: one line, no control characters, shortened.
    """
    code, raw = answer
    text = decoded(raw)
    found = _ENHANCED.match(text)
    enhanced = found[1] if found and found[1][0] == str(code)[0] else ""
    if "\n" in text:
        text = " ".join([line.removeprefix(enhanced) for line in text.split("\n")])
    elif enhanced:
        text = text[len(enhanced) :]
    return Reply(code, enhanced, shown(text), stage)


def decoded(raw: bytes) -> str:
    """Return an answer's text. Servers do not name their charset: UTF-8, else Korean, else Western, else escaped."""
    with suppress(UnicodeDecodeError):
        return raw.decode()
    dense = 3 * sum(byte >= 0x80 for byte in raw) > len(raw)  # cp949 takes letters for second bytes, EUC-KR does not
    for charset in ("euc_kr", "cp949" if dense else "cp1252"):
        with suppress(UnicodeDecodeError):
            text = raw.decode(charset)
            if charset == "cp1252" or 2 * len(_HANGUL.findall(text)) > sum(not each.isascii() for each in text):
                return text
    return raw.decode("ascii", "backslashreplace")


def shown(text: str) -> str:
    """Return a server's words as one line that is safe to log and to show: no controls, not long."""
    text = text[:LONGEST_ANSWER]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:_TEXT_LIMIT]
