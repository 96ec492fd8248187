"""Reading log files and messages of a mail server: compressed or not, in any of their encodings and any order."""

import bz2
import gzip
import io
import lzma
import re
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, cast

from app.domain.mail_log import LONGEST_LINE, MailLog
from app.errors import MailboxError

STANDARD_INPUT = Path("-")
_PACKED: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"\xfd7zXZ\0", lzma.open),
    (b"BZh", bz2.open),
)
_FIRST_FIELD = re.compile(
    r"From |>?(?:return-path|received|delivered-to|envelope-to|x-[\w-]+|date|from|to|subject|message-id|mime-version"
    r"|dkim-signature|content-[\w-]+|auto-submitted|arc-[\w-]+|authentication-results|list-[\w-]+|reply-to|sender):",
    re.IGNORECASE,
)


def received(source: Path) -> Iterator[str]:
    """Return the Message-IDs that were received, by a log file, a folder of logs or messages, or standard input.

    Standard input may also be a tar archive, which is a folder. Raises MailboxError where it cannot be read.
    """
    log = MailLog()
    try:
        if source == STANDARD_INPUT:
            _read(io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer)), log)
        else:
            paths = [path for path in sorted(source.rglob("*")) if path.is_file()] if source.is_dir() else [source]
            for path in paths:
                with path.open("rb") as file:
                    _read(file, log)
    except (OSError, EOFError, lzma.LZMAError, tarfile.TarError, zlib.error) as error:
        raise MailboxError(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return log.received()


def _read(file: Any, log: MailLog) -> None:
    """Read a binary file that has `peek`."""
    start = file.peek(512)[:512]
    for magic, unpacked in _PACKED:
        if start.startswith(magic):
            with unpacked(file) as inner:
                _read(inner, log)
            return
    if start[257:262] == b"ustar":
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                if inner := archive.extractfile(member):
                    with tempfile.TemporaryFile() as copy:  # what comes from a stream cannot be read as text
                        shutil.copyfileobj(inner, copy)
                        copy.seek(0)
                        _read(copy, log)
        return
    text = io.TextIOWrapper(file, _encoding(start), errors="replace")
    try:
        _read_lines(_lines(text), log)
    finally:
        text.detach()
    log.end_file()


def _encoding(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in start[:64]:  # without a mark: each ASCII letter has a zero beside it
        return "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Return lines without their ends; of one that is too long, its beginning."""
    while line := text.readline(LONGEST_LINE):
        yield line.rstrip("\r\n")
        while line and not line.endswith("\n") and len(line) == LONGEST_LINE:
            line = text.readline(LONGEST_LINE)


def _read_lines(lines: Iterator[str], log: MailLog) -> None:
    for first in lines:
        if not first:
            continue
        if _FIRST_FIELD.match(first):
            _read_messages(first, lines, log)
            return
        log.read(first)
        for line in lines:
            log.read(line)


def _read_messages(first: str, lines: Iterator[str], log: MailLog) -> None:
    """Take the Message-ID from the header of a message, or of each in a mailbox of the mbox format."""
    in_header, name = True, ""
    for line in chain([first], lines):
        if line.startswith("From "):
            in_header, name = True, ""
        elif not line:
            in_header = False
        elif in_header:
            name = name if line[0] in " \t" else line.partition(":")[0].lower()
            if name == "message-id":
                log.message(line.rpartition(":")[2])
