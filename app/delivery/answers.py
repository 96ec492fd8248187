"""What was begun and what was answered, on this machine's own disk, before anything else is done about it.

A group commit puts endings on record a moment after the server has spoken. A process that is
killed in between knew something: it stands here, since what is written to a file outlives the
process (not a power cut; then the ledger says uncertain, as without this).
"""

import fcntl
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog

from app.delivery.answers_file import DRAFT, Claim, answered_line, begun_line, discard, header, path_of
from app.domain.retry import Reply

log = structlog.get_logger()

_MOST = 1 << 20  # bytes; beyond it what is settled is left out


class Answers:
    """One worker's file, open for as long as it lives: a lock on it tells that it does.

    Where the disk fails, the file is taken away: no file says nothing, a half one would say
    something false.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._file: int | None = None
        self._size = 0
        self._failing = False
        self._unsettled: dict[int, str] = {}

    def open(self, worker: UUID) -> None:
        """Begin the file of a worker, who may be the same process as before under another id."""
        before, self._path = self._path, path_of(self._folder, worker)
        self._rewrite()
        if before:
            discard(before)

    def begin(self, claim: Claim) -> None:
        """Write down that a message's final dot is about to be written."""
        self._append(claim, begun_line(claim))

    def answered(self, claim: Claim, at: datetime, reply: Reply) -> None:
        """Write down what the server said to it."""
        self._append(claim, answered_line(claim, at, reply))

    def settled(self, deliveries: Iterable[int]) -> None:
        """Forget what the ledger knows by now."""
        for delivery in deliveries:
            self._unsettled.pop(delivery, None)
        if self._size > _MOST:
            self._rewrite()

    def mend(self) -> None:
        """Try again to have a file, where the disk did not let us."""
        if self._path and self._file is None:
            self._rewrite()

    def close(self, *, forget: bool) -> None:
        """End; `forget` where the ledger knows everything, or else the file stays for who relieves us."""
        if forget:
            self._forget()
        elif self._file is not None:
            os.close(self._file)
        self._file = self._path = None

    def _append(self, claim: Claim, line: str) -> None:
        delivery, _ = claim
        self._unsettled[delivery] = self._unsettled.get(delivery, "") + line
        if self._file is None:
            return
        try:
            _write(self._file, line)
            self._size += len(line)
        except OSError as error:
            self._fail(error)

    def _rewrite(self) -> None:
        """Make the file anew with what is unsettled, in one step; nothing is written meanwhile."""
        if self._path is None:
            return
        text = header() + "".join(self._unsettled.values())
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
            log.warning("answers cannot be kept on disk; a kill leaves more in doubt", error=error.strerror)
        self._failing = True
        self._forget()

    def _forget(self) -> None:
        if self._path:
            discard(self._path)
        if self._file is not None:
            os.close(self._file)
        self._file = None


def _write(file: int, text: str) -> None:
    line = text.encode()
    if os.write(file, line) != len(line):
        raise OSError(0, "the disk is full")
