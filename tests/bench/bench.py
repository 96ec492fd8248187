"""What every part of the benchmark measures with."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.databases import Databases
from tests.bench.report import Bound


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; the defaults are for `make bench`."""

    letters: int = 20_000
    rounds: int = 3
    schedule: tuple[int, ...] = (10_000, 1_000_000, 10_000_000)
    stored: int = 1_000_000
    posts: int = 3_000
    wave: int = 200_000
    kills: int = 10


@dataclass(frozen=True, slots=True)
class Bench:
    """Where, how much and how long."""

    folder: Path
    databases: Databases
    message: Path
    sizes: Sizes
    bound: Bound

    @property
    def said(self) -> Path:
        """The file for what the measured processes print."""
        return self.folder / "said"
