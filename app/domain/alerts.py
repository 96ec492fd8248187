"""Which alerts fire, from a snapshot of the program's state: pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

GRACE = timedelta(minutes=5)
"""How long something must be wrong before anybody is told, and well before they are told that."""
_ENOUGH = 20
"""Deliveries that must have ended within the hour before their share of failures says anything."""


class Alert(StrEnum):
    STALLED = "stalled"
    NO_SCHEDULER = "no_scheduler"
    LATE = "late"
    FAILING = "failing"
    MAIL_SERVER = "mail_server"
    UNCERTAIN = "uncertain"
    CLOCK = "clock"
    HEARTBEAT = "heartbeat"
    """Each process tells of its own, without the ledger: it may be what is stuck."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counts are those of the last hour.

    `watched_since`: when this process began to watch. `led_at`: the leader's last heartbeat.
    `tried_at`: the end of the last attempt. `unanswered`: uncertain deliveries, and attempts whose
    reply was lost. `trouble`: why the mail server is unavailable, or empty. `clock_deviation`: how far
    this process's clock is ahead of the ledger while sending waits for that, or (negative) behind.
    """

    now: datetime
    watched_since: datetime
    paused: bool
    led_at: datetime | None
    oldest_due_at: datetime | None
    tried_at: datetime | None
    sent: int
    failed: int
    unanswered: int
    trouble: str
    clock_deviation: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How late the oldest due letter may be, and how many in a hundred may fail."""

    oldest: timedelta
    failures: int


def firing(stand: Snapshot, limits: Thresholds) -> set[Alert]:
    """While sending is paused, late letters do not count."""
    waits = stand.now - stand.oldest_due_at if stand.oldest_due_at and not stand.paused else timedelta()
    ended = stand.sent + stand.failed
    wrong = {
        Alert.STALLED: waits >= GRACE and _silent(stand, stand.tried_at) and not stand.trouble,
        Alert.NO_SCHEDULER: _silent(stand, stand.led_at),
        Alert.LATE: waits >= limits.oldest,
        Alert.FAILING: ended >= _ENOUGH and stand.failed * 100 >= ended * limits.failures,
        Alert.MAIL_SERVER: bool(stand.trouble),
        Alert.UNCERTAIN: stand.unanswered > 0,
        Alert.CLOCK: bool(stand.clock_deviation),
    }
    return {alarm for alarm, rings in wrong.items() if rings}


def _silent(stand: Snapshot, last: datetime | None) -> bool:
    """Whether there was no sign for too long, as far as this process has watched."""
    return stand.now - max(last or stand.watched_since, stand.watched_since) >= GRACE
