"""The file a worker leaves behind: where it lies, how its lines are written, and how they are read.

A line is written before a message's final dot, and one when the server has answered it:

    17 3f2a…
    17 3f2a… 2027-01-01T09:00:00.000001+00:00 250 2.0.0 queued
"""

import contextlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from app.domain.address import redacted
from app.domain.retry import Reply

Claim = tuple[int, UUID]
"""A delivery's id and the token of one claim on it."""

SUFFIX, DRAFT = ".answers", ".draft"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEADER = "slow-mailbox answers 3 boot {}\n"
_LINE = re.compile(r"(\d+) ([0-9a-f]{32})(?: (\d{4}-\d\d-\d\dT[\d:.]+\+00:00) (\d{3}) (\d\.\d+\.\d+|-) (.*))?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to a message, and when."""

    at: datetime
    reply: Reply


@dataclass(frozen=True, slots=True)
class Remains:
    """What a worker's file tells. `whole`: a message that is not in `begun` was never begun."""

    begun: frozenset[Claim]
    answers: dict[Claim, Answer]
    whole: bool


def path_of(folder: Path, worker: UUID) -> Path:
    """Return where a worker's file lies."""
    return folder / f"{worker}{SUFFIX}"


def discard(path: Path) -> None:
    """Take a worker's file away, and what it was made from."""
    for each in (path, path.with_suffix(DRAFT)):
        with contextlib.suppress(OSError):
            each.unlink()


def header() -> str:
    """Return the first line, without which a file tells nothing of what it does not hold."""
    return _HEADER.format(_boot_id())


def begun_line(claim: Claim) -> str:
    delivery, token = claim
    return f"{delivery} {token.hex}\n"


def answered_line(claim: Claim, at: datetime, reply: Reply) -> str:
    delivery, token = claim
    return f"{delivery} {token.hex} {at.isoformat()} {reply.code} {reply.enhanced or '-'} {redacted(reply.text)}\n"


def parse(text: bytes, *, ended: bool) -> Remains:
    """Read a file, `ended`: its worker lives no more. Incomplete and unknown lines are skipped.

    A file from before the last boot may lack lines: they are not flushed to the disk.
    """
    first, *lines = text.decode(errors="replace").split("\n")[:-1] or [""]
    found = [match for match in map(_LINE.fullmatch, lines) if match]
    return Remains(
        begun=frozenset(map(_claim, found)),
        answers={_claim(line): _answer(line) for line in found if line[3]},
        whole=ended and bool(_boot_id()) and f"{first}\n" == header(),
    )


def _claim(line: "re.Match[str]") -> Claim:
    return int(line[1]), UUID(line[2])


def _answer(line: "re.Match[str]") -> Answer:
    enhanced = "" if line[5] == "-" else line[5]
    return Answer(datetime.fromisoformat(line[3]), Reply(int(line[4]), enhanced, line[6], "body"))


@lru_cache(1)
def _boot_id() -> str:
    """Return what this machine's run is known by: after a power cut it is another. Empty where unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
