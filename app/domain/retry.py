"""From a mail server's reply to what is done about it: pure.

`judge` says what a refusal is about: this reader, this message, or us; `decide` says what follows.
The rows named here are those of docs/standards.md, "Handing it over".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from app.domain.address import redacted
from app.domain.refusal import (
    AT_MAIL,
    ENHANCED,
    EXCHANGE_ON_SENDERS,
    NOT_LOGGED_IN,
    OPEN,
    OUTRANKING,
    SUBJECTS,
    Reason,
    Words,
)

Stage = Literal["connect", "helo", "auth", "mail", "rcpt", "data", "body"]
"""Which command a reply answers; `body` is the final dot. A bounce is judged as `rcpt`."""


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


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server took the letter over."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Refused for now: try again at `at`, and let the whole server or the reader's domain rest."""

    at: datetime
    slow: Literal["server", "domain"] | None = None
    reason: Reason = Reason.DEFERRED


@dataclass(frozen=True, slots=True)
class Failed:
    """Refused for good."""

    reason: Reason

    @property
    def blocks_address(self) -> bool:
        """Whether this address is not written to again."""
        return self.reason is Reason.NO_SUCH_ADDRESS


@dataclass(frozen=True, slots=True)
class Ours:
    """The refusal is about us: pause, tell the operator, charge nothing."""


Decision = Delivered | RetryAt | Failed | Ours

GIVE_UP_AFTER = timedelta(days=5)  # RFC 5321 §4.5.4.1: at least four to five days
_FIRST_WAIT = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(hours=4)
_LONGEST_DOUBLING = 10

_TEXT_LIMIT = 1000  # characters of an answer that are looked at
_BRACKETED = re.compile(r"[(\[#]{1,2}([245]\.\d{1,3}\.\d{1,3})\b")
_EXCHANGE_UNKNOWN = "recipient address rejected: access denied"


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
    reason = judge(reply)
    if reason is Reason.OURS:
        return Ours()
    if reason.permanent:
        return Failed(reason)
    return _put_off(
        reason,
        _slowed(reply),
        attempts=attempts,
        first_refused_at=first_refused_at,
        now=now,
        jitter=jitter,
        give_up_after=give_up_after,
    )


def dropped(
    *,
    attempts: int,
    first_refused_at: datetime | None,
    now: datetime,
    jitter: float,
    give_up_after: timedelta = GIVE_UP_AFTER,
) -> RetryAt | Failed:
    """Return what is done about a connection lost or silent before the hand-over (row S2)."""
    return _put_off(
        Reason.DEFERRED,
        None,
        attempts=attempts,
        first_refused_at=first_refused_at,
        now=now,
        jitter=jitter,
        give_up_after=give_up_after,
    )


def judge(reply: Reply) -> Reason:
    """Return what a refusal is about; a bounce's, too: its Status, and its diagnostic's code and text.

    An address does not exist only where a code or words say so: a bare 5xx never does.
    """
    if not 400 <= reply.code < 600:
        return Reason.DEFERRED
    text = redacted(reply.text[:_TEXT_LIMIT]).lower()
    permanent = reply.code >= 500
    if reply.code in NOT_LOGGED_IN or (permanent and reply.stage in ("connect", "helo", "auth")):
        return Reason.OURS
    if reason := _by_words(OUTRANKING, reply.code, text):
        return reason
    detail = _detail(reply, text)
    if not permanent:
        return Reason.MAILBOX_FULL if detail == "2.2" else Reason.DEFERRED
    if reply.stage == "mail":
        return _by_codes_at_mail(reply.code, detail)
    return _by_codes(reply.code, detail, text) or _by_words(OPEN, reply.code, text) or _by_stage(reply)


def _by_words(table: Sequence[Words], code: int, text: str) -> Reason | None:
    for words in table:
        if str(code).startswith(words.codes) and words.pattern.search(text):
            return words.reason
    return None


def _detail(reply: Reply, text: str) -> str:
    """Return subject and detail of the enhanced code: of the one in brackets where that in front says nothing."""
    if not reply.enhanced or reply.enhanced.endswith(".0"):
        bracketed = _BRACKETED.search(text)
        if bracketed and bracketed[1][0] == str(reply.code)[0]:
            return bracketed[1][2:]
    return reply.enhanced[2:]


def _by_codes_at_mail(code: int, detail: str) -> Reason:
    """The server has not heard the reader's address yet."""
    if detail == "3.4" or detail.startswith("6."):
        return ENHANCED.get(detail, Reason.MESSAGE)
    return AT_MAIL.get(code, Reason.OURS)


def _by_codes(code: int, detail: str, text: str) -> Reason | None:
    if code == 556:  # RFC 7504 §4
        return Reason.NO_SUCH_ADDRESS
    if code == 504 and detail == "5.2":  # Postfix: of the name in HELO
        return Reason.OURS
    if detail == "4.1":  # a host that is silent (RFC 3463 §3.5), or Exchange Online's unknown reader
        return Reason.NO_SUCH_ADDRESS if _EXCHANGE_UNKNOWN in text else None
    if detail == "4.6" and ("loop" in text or "hop" in text):  # RFC 3463 §3.5, and no limit of sending
        return Reason.MESSAGE
    if EXCHANGE_ON_SENDERS.fullmatch(detail):
        return Reason.OURS
    return ENHANCED.get(detail) or SUBJECTS.get(detail.partition(".")[0])


def _by_stage(reply: Reply) -> Reason:
    """552 at RCPT speaks of the mailbox (RFC 5321 §4.5.3.1.10), later of the message (§4.2.3)."""
    if reply.code == 552:
        return Reason.MAILBOX_FULL if reply.stage == "rcpt" else Reason.TOO_LARGE
    return Reason.MESSAGE


def _slowed(reply: Reply) -> Literal["server", "domain"] | None:
    """Return who is left alone for a while (row S3)."""
    if reply.code == 421:
        return "server"
    return "domain" if reply.enhanced == "4.2.1" else None


def _put_off(
    reason: Reason,
    slow: Literal["server", "domain"] | None,
    *,
    attempts: int,
    first_refused_at: datetime | None,
    now: datetime,
    jitter: float,
    give_up_after: timedelta,
) -> RetryAt | Failed:
    """Wait 5, 10, 20 … minutes, at most 4 hours, each give or take a fifth; the last try is at the limit."""
    limit = (first_refused_at or now) + give_up_after
    if now >= limit:
        return Failed(Reason.TOO_LONG)
    doubled = _FIRST_WAIT * 2 ** min(max(attempts, 1) - 1, _LONGEST_DOUBLING)
    wait = min(doubled, _LONGEST_WAIT) * (0.8 + 0.4 * jitter)
    return RetryAt(min(now + wait, limit), slow, reason)
