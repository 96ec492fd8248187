"""Texts in header fields (RFC 5322, RFC 2047), without header injection."""

import re
import unicodedata
from binascii import b2a_base64

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_DOMAIN}")
_FOLD = re.compile(r"(\S.{0,64}) (?=\S)")

_ADDRESS_LIMIT = 254  # RFC 5321 §4.5.3.1.3, without the brackets
_LINE_LIMIT = 66  # with the longest name before it (`Subject: `) still under 76
_PLAIN_LIMIT = 900  # beyond it a word without a space could pass 998 octets
_WORD_BYTES = 39  # 52 characters of base64, 64 with the frame of an encoded word


def one_line(text: str) -> str:
    """Return a header field's text in NFC, without space around it.

    Raises ValueError where it holds a control character or a line break.
    """
    if _CONTROL.search(text):
        raise ValueError("a name or subject holds a control character")
    return unicodedata.normalize("NFC", text).strip()


def address(text: str) -> str:
    """Return one ASCII address without quotes or comments (RFC 5321 §4.1.2 `Dot-string`).

    Raises ValueError for anything else.
    """
    if len(text) > _ADDRESS_LIMIT or not _ADDRESS.fullmatch(text):
        raise ValueError("not one plain address")
    return text


def message_id(text: str) -> str:
    """Return a Message-ID with its angle brackets. Raises ValueError for anything else."""
    if text[:1] != "<" or text[-1:] != ">":
        raise ValueError("a Message-ID has angle brackets")
    address(text[1:-1])
    return text


def unstructured(text: str) -> bytes:
    """Return one line of text as the value of an unstructured field, folded (RFC 5322 §2.2.1)."""
    return _folded(text) if _is_plain(text) else _encoded_words(text)


def mailbox(name: str, address: str) -> bytes:
    """Return an address, after its name if it has one, folded (RFC 5322 §3.4)."""
    if not name:
        return address.encode()
    name = " ".join(name.split())  # in a phrase any white space counts as one space
    if _is_plain(name):
        phrase = _folded('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"')
    else:
        phrase = _encoded_words(name)
    fits = len(phrase) + len(address) <= _LINE_LIMIT
    return phrase + (b" <" if fits else b"\r\n <") + address.encode() + b">"


def _is_plain(text: str) -> bool:
    """Return whether a text needs no encoding: what looks like an encoded word would be decoded."""
    return text.isascii() and "=?" not in text and len(text) <= _PLAIN_LIMIT


def _folded(text: str) -> bytes:
    return (text if len(text) <= _LINE_LIMIT else _FOLD.sub("\\1\r\n ", text)).encode()


def _encoded_words(text: str) -> bytes:
    """Split the text between characters, never within one (RFC 2047 §5), one word a line."""
    octets, words, start = text.encode(), [], 0
    while start < len(octets):
        end = start + _WORD_BYTES
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # a later octet of a character
            end -= 1
        words.append(b"=?utf-8?b?" + b2a_base64(octets[start:end], newline=False) + b"?=")
        start = end
    return b"\r\n ".join(words)
