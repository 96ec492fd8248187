"""What a mail server offers us, and how long it may take."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Offers:
    """What the server said it can do (EHLO), and how the way there is secured.

    `size` is the most octets it takes (RFC 1870): 0 where it named no limit, None where it does
    not offer SIZE. `tls` is the version, or empty; `certified_until` when its certificate runs out.
    """

    pipelining: bool
    size: int | None
    tls: str = ""
    certified_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds we wait (RFC 5321 §4.5.3.2 for `command` and `answer`)."""

    connect: float = 60.0
    """For all that comes before the first letter: connecting, greeting, TLS, login."""
    command: float = 300.0
    """For the answer to a command."""
    answer: float = 600.0
    """For the answer to the final dot: giving up on it earlier doubles letters (RFC 1047)."""
    behind: float = 5.0
    """For the answer to the letter before: then the one behind it goes over another connection."""
    quit: float = 5.0
    idle: float = 60.0
    """How long a connection is kept without a letter."""


DEFAULT_PATIENCE = Patience()
