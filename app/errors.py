"""Errors that are shown to people."""

from enum import StrEnum


class MailboxError(Exception):
    """Its text is one line that says how to solve it."""


class SettingsError(MailboxError): ...


class DatabaseError(MailboxError):
    """The database cannot be used as it is."""


class KeyMissing(MailboxError):
    """A value was encrypted with a key that the settings do not hold."""


class LetterNotFound(MailboxError):
    """No letter has this token."""


class NotWithdrawable(MailboxError):
    """All deliveries of the letter have ended."""


class EditWindowClosed(MailboxError): ...


class NotCorrectable(MailboxError):
    """No delivery of the letter is still to come, so its address cannot be changed."""


class BeingSent(MailboxError):
    """A letter cannot be changed or erased while it is being sent."""


class NotArrived(MailboxError):
    """A letter cannot be read here before its last arrival."""


class Limit(StrEnum):
    """Only the two `all` ones count what other clients did."""

    REQUESTS = "requests"
    POSTS = "posts"
    WRITER = "writer"
    READER = "reader"
    DOMAIN_SHARE = "domain share"
    DOMAIN_ALL = "domain all"
    DAY_SHARE = "day share"
    DAY_ALL = "day all"
    CORRECTIONS = "corrections"


class LimitExceeded(MailboxError):
    """A limit of `most` was reached; try again in `seconds`."""

    def __init__(self, seconds: int, limit: Limit = Limit.REQUESTS, most: int = 0) -> None:
        super().__init__(f"limit exceeded: {limit}")
        self.seconds = seconds
        self.limit = limit
        self.most = most


class AccountError(MailboxError):
    """An account cannot be created or changed like this."""


class WeakPassword(AccountError): ...
