"""The benchmark still runs: a few letters, and no figure that would mean anything."""

import shutil
import subprocess
import sys

import pytest

from tests.bench.processes import ROOT
from tests.bench.sink import PATH

_PARTS = ("delayed", "growing", "scanning")
_TINY = ("--letters", "40", "--rounds", "1", "--wave", "40", "--schedule", "100,200")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not shutil.which("smtp-sink", path=PATH), reason="needs Postfix's smtp-sink")
def test_its_parts_still_run() -> None:
    ended = subprocess.run(
        (sys.executable, "-W", "ignore:XDG_RUNTIME_DIR", "-m", "tests.bench", *_PARTS, *_TINY),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "left out" not in ended.stdout
    assert " arrived of " not in ended.stdout, ended.stdout
    assert ended.stdout.count("letters/s") == 3, ended.stdout
    assert " MiB; 40 arrived" in ended.stdout
    assert ended.stdout.count(" ms in the middle") == 8
