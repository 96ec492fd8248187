"""Files and version, in a checkout and in an installed wheel."""

import subprocess
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent
_CHECKOUT = PACKAGE.parent
_COMMIT = PACKAGE / "COMMIT"  # setup.py writes it into a wheel


def folder(name: str) -> Path:
    """Return a folder that is beside the package in a checkout, and inside it in a wheel."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else _CHECKOUT / name


def version() -> str:
    return f"{metadata.version('slow-mailbox')} ({commit()})"


def commit() -> str:
    """Return the commit of the wheel or the checkout, with `-dirty` after changes, or `unknown`."""
    if _COMMIT.is_file():
        return _COMMIT.read_text()
    if not (_CHECKOUT / ".git").exists():  # git would search the folders above, and name another repository's commit
        return "unknown"
    # git refuses to read a checkout of another user, as the service's is, unless it is named.
    at = ("-c", f"safe.directory={_CHECKOUT}", "-C", str(_CHECKOUT))
    describe = ("git", *at, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    try:
        return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - constants
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
