"""What a dead worker's file still tells (see `answers`)."""

import fcntl
from collections.abc import Collection
from pathlib import Path
from uuid import UUID

from app.delivery.answers_file import DRAFT, SUFFIX, Remains, parse, path_of


def read(folder: Path, worker: UUID) -> Remains | None:
    """Return what a worker has left here; None where there is nothing to be read."""
    try:
        with path_of(folder, worker).open("rb") as file:
            ended = _unlocked(file.fileno())  # before it is read, or it might end in between
            return parse(file.read(), ended=ended)
    except OSError:
        return None


def left_behind(folder: Path, alive: Collection[UUID]) -> set[UUID]:
    """Return whose files lie here, of workers that are not `alive`, nor hold them open."""
    found = {path: _worker(path) for suffix in (SUFFIX, DRAFT) for path in folder.glob(f"*{suffix}")}
    return {worker for path, worker in found.items() if worker and _is_dead(path)} - set(alive)


def _worker(path: Path) -> UUID | None:
    try:
        return UUID(path.stem)
    except ValueError:
        return None


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
