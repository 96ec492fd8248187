"""The file a worker leaves behind: where it lies, how its lines are written, and how they are read.

A line is written before a message's final dot, and one when the server has answered it:

    17 3f2a… 4 2                      the answer comes over connection 4, the first of 2 from here on
    17 3f2a… 2027-01-01T09:00:00.000001+00:00 250 2.0.0 queued

It imports little: the witness, a process of its own, reads and writes the same lines.
"""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from app.domain.address import redacted
from app.domain.retry import Reply
from app.mail.envelope import Expected

Claim = tuple[int, UUID]
"""A delivery's id and the token of one claim on it."""

SUFFIX, DRAFT = ".answers", ".draft"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEADER = "slow-mailbox answers 2 boot {}\n"
_LINE = re.compile(
    r"(\d+) ([0-9a-f]{32}) (?:(\d+) (\d+)|(\d{4}-\d\d-\d\dT[\d:.]+\+00:00) (\d{3}) (\d\.\d+\.\d+|-) (.*))"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to a message, and when."""

    at: datetime
    reply: Reply


@dataclass(frozen=True, slots=True)
class Lines:
    """What a file says. `of_this_boot`: it was begun since this machine was last started."""

    begun: dict[Claim, Expected]
    answers: dict[Claim, Answer]
    of_this_boot: bool


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


def begun_line(claim: Claim, expected: Expected) -> str:
    delivery, token = claim
    return f"{delivery} {token.hex} {expected.connection} {expected.replies}\n"


def answered_line(claim: Claim, at: datetime, reply: Reply) -> str:
    delivery, token = claim
    return f"{delivery} {token.hex} {at.isoformat()} {reply.code} {reply.enhanced or '-'} {redacted(reply.text)}\n"


def parse(text: bytes) -> Lines:
    """Return what a file says; a line without its end, and one that is none, say nothing."""
    first, *lines = text.decode(errors="replace").split("\n")[:-1] or [""]
    found = [match for match in map(_LINE.fullmatch, lines) if match]
    return Lines(
        begun=dict(_begun(found)),
        answers={_claim(line): _answer(line) for line in found if line[5]},
        of_this_boot=bool(_boot_id()) and f"{first}\n" == header(),
    )


def _begun(lines: Iterable["re.Match[str]"]) -> Iterable[tuple[Claim, Expected]]:
    return ((_claim(line), Expected(int(line[3]), int(line[4]))) for line in lines if line[3])


def _claim(line: "re.Match[str]") -> Claim:
    return int(line[1]), UUID(line[2])


def _answer(line: "re.Match[str]") -> Answer:
    enhanced = "" if line[7] == "-" else line[7]
    return Answer(datetime.fromisoformat(line[5]), Reply(int(line[6]), enhanced, line[8], "body"))


@lru_cache(1)
def _boot_id() -> str:
    """Return what this machine's run is known by: after a power cut it is another. Empty where unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
