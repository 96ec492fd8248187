"""From a mail server's reply to what is done about it: pure.

The rows named here are those of docs/standards.md, "Handing it over".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Stage = Literal["connect", "mail", "rcpt", "data", "body"]
"""Which command a reply answers; `body` is the final dot."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a mail server said: basic code, enhanced code or "", text without either, and to what."""

    code: int
    enhanced: str
    text: str
    stage: Stage

    @property
    def accepted(self) -> bool:
        """Whether the server took the letter over: only the 250 after the final dot says so."""
        return self.stage == "body" and 200 <= self.code < 300


Reason = Literal["no_such_address", "policy", "message", "too_long"]
"""Why a delivery fails: what the reply was about, or `too_long`: it was put off for days."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server took the letter over."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Refused for now: try again at `at`, and let the whole server or the reader's domain rest."""

    at: datetime
    slow: Literal["server", "domain"] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Refused for good."""

    reason: Reason

    @property
    def blocks_address(self) -> bool:
        """Whether this address is not written to again."""
        return self.reason == "no_such_address"


@dataclass(frozen=True, slots=True)
class Ours:
    """The server does not know us (RFC 4954 §6): pause, tell the operator, charge nothing."""


Decision = Delivered | RetryAt | Failed | Ours

GIVE_UP_AFTER = timedelta(days=5)  # RFC 5321 §4.5.4.1: at least four to five days
_FIRST_WAIT = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(hours=4)
_LONGEST_DOUBLING = 10

_NOT_LOGGED_IN = {530, 534, 535, 538}
_ENHANCED: dict[str, Reason | None] = {  # RFC 3463 §3; None: for now, whatever the basic code says
    "5.1.1": "no_such_address",
    "5.1.2": "no_such_address",
    "5.1.3": "no_such_address",
    "5.1.6": "no_such_address",
    "5.1.7": "policy",  # the sender's address, which is ours
    "5.1.8": "policy",
    "5.1.10": "no_such_address",
    "5.2.2": None,  # the mailbox is full
}
_SUBJECTS: dict[str, Reason] = {  # the middle number; 0 and 1 leave it to the basic code
    **dict.fromkeys("23456", "message"),
    "7": "policy",
}
_RCPT: dict[int, Reason | None] = {
    550: "policy",  # without an enhanced code it may speak of us: "550 relay not permitted"
    551: "no_such_address",
    552: None,  # at RCPT it speaks of the mailbox (RFC 5321 §4.5.3.1.10)
    553: "no_such_address",
    554: "policy",
    556: "no_such_address",  # RFC 7504 §4
}
_ELSEWHERE: dict[int, Reason | None] = {
    550: "policy",
    553: "no_such_address",
    554: "policy",
    556: "no_such_address",
}


def decide(
    reply: Reply,
    *,
    attempts: int,
    first_refused_at: datetime | None,
    now: datetime,
    jitter: float,
    give_up_after: timedelta = GIVE_UP_AFTER,
) -> Decision:
    """Return what is done about a reply (rows S2 to S6).

    `attempts` counts the tries that a server answered or dropped, this one included;
    `first_refused_at` is when the first of them was put off, None if that is now; `jitter` is a
    random number in [0, 1).
    """
    if reply.accepted:
        return Delivered()
    if reply.code in _NOT_LOGGED_IN:
        return Ours()
    reason = _permanent_reason(reply) if reply.code >= 500 else None
    if reason:
        return Failed(reason)
    return _put_off(_slowed(reply), attempts, first_refused_at, now, jitter, give_up_after)


def dropped(
    *,
    attempts: int,
    first_refused_at: datetime | None,
    now: datetime,
    jitter: float,
    give_up_after: timedelta = GIVE_UP_AFTER,
) -> RetryAt | Failed:
    """Return what is done about a connection lost or silent before the hand-over (row S2)."""
    return _put_off(None, attempts, first_refused_at, now, jitter, give_up_after)


def _permanent_reason(reply: Reply) -> Reason | None:
    """Return why a 5xx is for good, or None where it is for now all the same."""
    if reply.enhanced in _ENHANCED:
        reason = _ENHANCED[reply.enhanced]
    elif subject := _SUBJECTS.get(reply.enhanced[2:].partition(".")[0]):
        reason = subject
    else:
        reason = (_RCPT if reply.stage == "rcpt" else _ELSEWHERE).get(reply.code, "message")
    if reason == "no_such_address" and reply.stage == "mail":
        return "policy"  # the server has not heard the reader's address yet: it means ours
    return reason


def _slowed(reply: Reply) -> Literal["server", "domain"] | None:
    """Return who is left alone for a while (row S3)."""
    if reply.code == 421:
        return "server"
    return "domain" if reply.enhanced == "4.2.1" else None


def _put_off(
    slow: Literal["server", "domain"] | None,
    attempts: int,
    first_refused_at: datetime | None,
    now: datetime,
    jitter: float,
    give_up_after: timedelta,
) -> RetryAt | Failed:
    """Wait 5, 10, 20 … minutes, at most 4 hours, each give or take a fifth; the last try is at the limit."""
    limit = (first_refused_at or now) + give_up_after
    if now >= limit:
        return Failed("too_long")
    doubled = _FIRST_WAIT * 2 ** min(max(attempts, 1) - 1, _LONGEST_DOUBLING)
    wait = min(doubled, _LONGEST_WAIT) * (0.8 + 0.4 * jitter)
    return RetryAt(min(now + wait, limit), slow)
