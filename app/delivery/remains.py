"""What a dead worker's file still tells (see `answers`)."""

import fcntl
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from app.delivery.answers import DRAFT, HEADER, SUFFIX, Claim, boot_id, path_of
from app.domain.retry import Reply

_LINE = re.compile(r"(\d+) ([0-9a-f]{32})(?: (\d{4}-\d\d-\d\dT[\d:.]+\+00:00) (\d{3}) (\d\.\d+\.\d+|-) (.*))?")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


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


def read(folder: Path, worker: UUID) -> Remains | None:
    """Return what a worker has left here; None where there is nothing to be read."""
    try:
        with path_of(folder, worker).open("rb") as file:
            whole = _unlocked(file.fileno())
            header, *lines = file.read().decode(errors="replace").split("\n")[:-1] or [""]
    except OSError:
        return None
    found = [match for match in map(_LINE.fullmatch, lines) if match]
    return Remains(
        begun=frozenset(map(_claim, found)),
        answers={_claim(match): _answer(match) for match in found if match[3]},
        whole=whole and bool(boot_id()) and f"{header}\n" == HEADER.format(boot_id()),
    )


def left_behind(folder: Path, alive: Collection[UUID]) -> set[UUID]:
    """Return whose files lie here, of workers that are not `alive`, nor hold them open."""
    paths = [path for suffix in (SUFFIX, DRAFT) for path in folder.glob(f"*{suffix}") if _ID.fullmatch(path.stem)]
    return {UUID(path.stem) for path in paths if _is_dead(path)} - set(alive)


def _is_dead(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _unlocked(file.fileno())
    except OSError:
        return False


def _unlocked(file: int) -> bool:
    """Whether nobody has the file open as its worker; shared, so that two who ask at once both hear it."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _claim(line: re.Match[str]) -> Claim:
    return int(line[1]), UUID(line[2])


def _answer(line: re.Match[str]) -> Answer:
    enhanced = "" if line[5] == "-" else line[5]
    return Answer(datetime.fromisoformat(line[3]), Reply(int(line[4]), enhanced, line[6], "body"))
