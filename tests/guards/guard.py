"""A piece of the source that a row of the bar rests on, and how it is shown that its test would miss it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Guard:
    """A piece of the source, what stands there once it is taken away, and the test that must notice."""

    row: str
    path: str
    text: str
    instead: str
    test: str


def is_noticed(guard: Guard, folder: Path) -> bool:
    """Take a guard away in a copy of the source, and return whether its test fails."""
    for name in ("app", "deploy", "docs", "migrations", "templates", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    source = folder / guard.path
    source.write_text(source.read_text().replace(guard.text, guard.instead))
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", guard.test)
    ended = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, check=False
    )
    if ended.returncode not in (0, 1):  # such as 2, where the test could not be collected
        raise RuntimeError(f"{guard.test} did not run: {ended.stdout.decode()[-2000:]}")
    return ended.returncode == 1  # 1 is pytest's word for a test that failed, 0 for none
