"""SMTP replies (RFC 5321 §4.2), from packets to Reply."""

import re
from collections.abc import Iterator
from contextlib import suppress

from app.domain.retry import Reply, Stage

ReplyLines = tuple[int, bytes]
"""A basic code and the text after it, lines separated by LF."""

CLOSING = 421
"""The code with which a server closes the connection, as a reply to any command (RFC 5321 §3.8)."""

MAX_REPLY_BYTES = 16_384
"""Of all lines of a reply together; a line has 512 by RFC 5321 §4.5.3.1.5."""

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])([^\n]*?))?\r?\n")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_HANGUL = re.compile("[가-힣]")
_TEXT_LIMIT = 500


class MalformedReply(Exception): ...


class ReplyReader:
    __slots__ = ("_code", "_lines", "_rest", "_size")

    def __init__(self) -> None:
        self._rest = b""
        self._code = b""
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def unfinished(self) -> bool:
        return bool(self._rest or self._lines)

    def feed(self, packet: bytes) -> Iterator[ReplyLines]:
        """Yield the replies that `packet` completes.

        Raises MalformedReply, after the complete ones before it, where a line has no code, the lines
        of one reply have different codes, or a reply is longer than MAX_REPLY_BYTES.
        """
        received = self._rest + packet
        start = 0
        while line := _LINE.match(received, start):
            start = line.end()
            code, mark, text = line.groups(b"")
            self._size += len(line[0])
            if self._size > MAX_REPLY_BYTES:
                raise MalformedReply("the reply is too long")
            if self._lines and code != self._code:
                raise MalformedReply(f"{code.decode()} within a reply that began with {self._code.decode()}")
            if mark == b"-":
                self._code = code
                self._lines.append(text)
            else:
                joined = b"\n".join((*self._lines, text))
                self._lines, self._size = [], 0
                yield int(code), joined
        self._rest = received[start:]
        if b"\n" in self._rest:
            raise MalformedReply(f"not an SMTP reply: {shown(self._rest[:80].decode(errors='replace'))}")
        if len(self._rest) + self._size > MAX_REPLY_BYTES:
            raise MalformedReply("the reply is too long")


def parse_reply(lines: ReplyLines, stage: Stage) -> Reply:
    """Return a reply whose text is safe to show, see `shown`.

    The enhanced code (RFC 3463) counts only where its class is the basic code's first digit (RFC 2034 §4).
    """
    code, raw = lines
    text = decoded(raw)
    match = _ENHANCED.match(text)
    enhanced = match[1] if match and match[1][0] == str(code)[0] else ""
    if "\n" in text:
        text = " ".join([line.removeprefix(enhanced) for line in text.split("\n")])
    elif enhanced:
        text = text[len(enhanced) :]
    return Reply(code, enhanced, shown(text), stage)


def decoded(raw: bytes) -> str:
    """Decode a text without a charset: UTF-8, else Korean, else Western, else escaped."""
    with suppress(UnicodeDecodeError):
        return raw.decode()
    dense = 3 * sum(byte >= 0x80 for byte in raw) > len(raw)  # cp949 has ASCII letters as second bytes, EUC-KR has not
    for charset in ("euc_kr", "cp949" if dense else "cp1252"):
        with suppress(UnicodeDecodeError):
            text = raw.decode(charset)
            if charset == "cp1252" or 2 * len(_HANGUL.findall(text)) > sum(not each.isascii() for each in text):
                return text
    return raw.decode("ascii", "backslashreplace")


def shown(text: str) -> str:
    """Return a server's text as one short line without control characters, safe to log and to show."""
    text = text[:MAX_REPLY_BYTES]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:_TEXT_LIMIT]
