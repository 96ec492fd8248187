"""Secret keys in a file, one per line."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from app.errors import SettingsError

KEY_LENGTH = 32
"""The least characters of a key."""


def keys_in(path: Path) -> tuple[str, ...]:
    """Return a file's keys in order.

    Raises SettingsError where it cannot be read, or has no key that is long enough.
    """
    try:
        keys = tuple(path.read_text().split())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"MAILBOX_SECRET_KEY_FILE: {path} cannot be read: {error}") from None
    if not keys or any(len(key) < KEY_LENGTH for key in keys):
        raise SettingsError(f"MAILBOX_SECRET_KEY_FILE: {path} must hold keys of {KEY_LENGTH} characters, a line each")
    return keys


def make_key(path: Path) -> None:
    """Create the file atomically: several processes may start at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(KEY_LENGTH) + "\n")
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    Path(draft).unlink()
