"""The journal of a worker: a local file that lets others settle its deliveries after it was killed.

A line is written before a message's final dot, and one when the server has replied:

    17 3f2a…
    17 3f2a… 2027-01-01T09:00:00.000001+00:00 250 2.0.0 queued
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from uuid import UUID

import structlog

from app.domain.address import redacted
from app.domain.retry import Reply

log = structlog.get_logger()

Claim = tuple[int, UUID]
"""A delivery's id and the token of one claim on it."""

SUFFIX, DRAFT = ".journal", ".draft"
_MAX_SIZE = 1 << 20  # bytes; a larger file is rewritten without what is settled
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LINE = re.compile(r"(\d+) ([0-9a-f]{32})(?: (\d{4}-\d\d-\d\dT[\d:.]+\+00:00) (\d{3}) (\d\.\d+\.\d+|-) (.*))?")


@dataclass(frozen=True, slots=True)
class RecordedReply:
    at: datetime
    reply: Reply


@dataclass(frozen=True, slots=True)
class JournalContents:
    """`complete`: a message that is not in `begun` was never begun."""

    begun: frozenset[Claim]
    replies: dict[Claim, RecordedReply]
    complete: bool


def path_of(folder: Path, worker: UUID) -> Path:
    return folder / f"{worker}{SUFFIX}"


def discard(path: Path) -> None:
    for each in (path, path.with_suffix(DRAFT)):
        with contextlib.suppress(OSError):
            each.unlink()


def _header() -> str:
    """Return the first line, without which a file is not complete."""
    return f"slow-mailbox journal 1 boot {_boot_id()}\n"


def parse(text: bytes, *, ended: bool) -> JournalContents:
    """Parse a file; `ended`: its worker has ended. Incomplete and unknown lines are skipped.

    A file from before the last boot may lack lines: they are not flushed to the disk.
    """
    first, *lines = text.decode(errors="replace").split("\n")[:-1] or [""]
    matches = [match for match in map(_LINE.fullmatch, lines) if match]
    return JournalContents(
        begun=frozenset(map(_claim, matches)),
        replies={_claim(line): _reply(line) for line in matches if line[3]},
        complete=ended and bool(_boot_id()) and f"{first}\n" == _header(),
    )


def _claim(line: "re.Match[str]") -> Claim:
    return int(line[1]), UUID(line[2])


def _reply(line: "re.Match[str]") -> RecordedReply:
    enhanced = "" if line[5] == "-" else line[5]
    return RecordedReply(datetime.fromisoformat(line[3]), Reply(int(line[4]), enhanced, line[6], "body"))


@lru_cache(1)
def _boot_id() -> str:
    """Return the kernel's id of this boot, which changes at a power cut. Empty where unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def read_journal(folder: Path, worker: UUID) -> JournalContents | None:
    try:
        with path_of(folder, worker).open("rb") as file:
            ended = _unlocked(file.fileno())  # before reading, or the worker might end in between
            return parse(file.read(), ended=ended)
    except OSError:
        return None


def orphaned_journals(folder: Path, alive: Collection[UUID]) -> set[UUID]:
    """Return the workers whose files are here, unlocked, and that are not `alive`."""
    orphaned = set()
    for path in (*folder.glob(f"*{SUFFIX}"), *folder.glob(f"*{DRAFT}")):
        with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
            if _unlocked(file.fileno()):
                orphaned.add(UUID(path.stem))
    return orphaned - set(alive)


def _unlocked(file: int) -> bool:
    """Whether no worker holds the lock; a shared lock, so that two processes may check at once."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Journal:
    """One worker's file, open and locked as long as the worker runs.

    Where the disk fails, the file is deleted: without a file nothing is known, an incomplete one
    would be wrong.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._file: int | None = None
        self._size = 0
        self._failing = False
        self._unsettled: dict[int, str] = {}

    def open(self, worker: UUID) -> None:
        """Create the file of a worker; the same process may continue under another id."""
        before, self._path = self._path, path_of(self._folder, worker)
        self._rewrite()
        if before:
            discard(before)

    def begin(self, claim: Claim) -> None:
        self._append(claim)

    def answered(self, claim: Claim, at: datetime, reply: Reply) -> None:
        self._append(claim, f" {at.isoformat()} {reply.code} {reply.enhanced or '-'} {redacted(reply.text)}")

    def forget(self, deliveries: Iterable[int]) -> None:
        for delivery in deliveries:
            self._unsettled.pop(delivery, None)
        if self._size > _MAX_SIZE:
            self._rewrite()

    def reopen(self) -> None:
        """Try again to create the file after the disk failed."""
        if self._path and self._file is None:
            self._rewrite()

    def close(self, *, delete: bool) -> None:
        """`delete` where everything is settled; otherwise the file stays for a worker that recovers us."""
        if delete:
            self._delete()
        elif self._file is not None:
            os.close(self._file)
        self._file = self._path = None

    def _append(self, claim: Claim, reply: str = "") -> None:
        delivery, token = claim
        line = f"{delivery} {token.hex}{reply}\n"
        self._unsettled[delivery] = self._unsettled.get(delivery, "") + line
        if self._file is None:
            return
        try:
            _write(self._file, line)
            self._size += len(line)
        except OSError as error:
            self._fail(error)

    def _rewrite(self) -> None:
        if self._path is None:
            return
        text = _header() + "".join(self._unsettled.values())
        draft = self._path.with_suffix(DRAFT)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _write(file, text)
                draft.rename(self._path)
            except OSError:
                os.close(file)
                raise
        except OSError as error:
            self._fail(error)
            return
        if self._file is not None:
            os.close(self._file)
        self._file, self._size, self._failing = file, len(text), False

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            log.warning("journal cannot be written; a kill leaves more deliveries uncertain", error=error.strerror)
        self._failing = True
        self._delete()

    def _delete(self) -> None:
        if self._path:
            discard(self._path)
        if self._file is not None:
            os.close(self._file)
        self._file = None


def _write(file: int, text: str) -> None:
    line = text.encode()
    if os.write(file, line) != len(line):
        raise OSError(0, "the disk is full")
