"""The errors that a person is meant to read."""

from enum import StrEnum


class MailboxError(Exception):
    """Something a person can mend; its text is one line that says how."""


class SettingsError(MailboxError):
    """A setting is wrong or missing."""


class DatabaseError(MailboxError):
    """The database cannot be used as it is."""


class KeyMissing(MailboxError):
    """A value was sealed with a key that the settings do not hold."""


class LetterNotFound(MailboxError):
    """No letter has this token."""


class NotWithdrawable(MailboxError):
    """Nothing of this letter can be called back any more."""


class Sealed(MailboxError):
    """The time is over in which a letter could be read and changed."""


class NotCorrectable(MailboxError):
    """Nothing of this letter is still to come, so its address cannot be corrected any more."""


class LeavingJustNow(MailboxError):
    """A letter cannot be changed or erased while it is being handed to the mail server."""


class LinkDead(MailboxError):
    """A link that works once was used before, or has run out."""


class NotArrived(MailboxError):
    """A letter has not arrived for the last time, so nobody reads it here."""


class Limit(StrEnum):
    """Which limit was met; only the two `all` ones count what others did."""

    REQUESTS = "requests"
    POSTS = "posts"
    WRITER = "writer"
    READER = "reader"
    DOMAIN_SHARE = "domain share"
    DOMAIN_ALL = "domain all"
    DAY_SHARE = "day share"
    DAY_ALL = "day all"
    CORRECTIONS = "corrections"


class TooMany(MailboxError):
    """A limit of `most` was met; `seconds` from now there is room again."""

    def __init__(self, seconds: int, limit: Limit = Limit.REQUESTS, most: int = 0) -> None:
        super().__init__(f"more than we take: {limit}")
        self.seconds = seconds
        self.limit = limit
        self.most = most


class AccountError(MailboxError):
    """An account cannot be made or changed as asked."""


class WeakPassword(AccountError):
    """A password is easy to guess."""
