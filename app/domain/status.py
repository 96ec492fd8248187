"""The states of a delivery, and who moves it from one to the next."""

from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """The state of a delivery. Every delivery is in exactly one.

    | from                    | to        | who                                                     |
    |-------------------------|-----------|---------------------------------------------------------|
    | (new)                   | scheduled | posting a letter                                        |
    | (new)                   | held      | posting a letter that must be confirmed first           |
    | (new)                   | held      | posting a letter beyond an address's quota              |
    | (new)                   | cancelled | a receipt or notice of a refusal beyond the day's quota |
    | scheduled               | claimed   | the scan                                                |
    | scheduled               | scheduled | the operator: sent now                                  |
    | scheduled               | held      | the operator, a refused first delivery                  |
    | claimed                 | sent      | courier: the server accepted it; recovery: its worker's |
    |                         |           | journal says so                                         |
    | claimed                 | scheduled | courier: refused for now, or given back uncharged;      |
    |                         |           | recovery: its worker stopped before the hand-over       |
    | claimed                 | failed    | courier: refused permanently, or for too long           |
    | claimed                 | uncertain | courier or recovery: handed over, no reply              |
    | claimed                 | held      | courier, before the hand-over: too late, to an address  |
    |                         |           | known not to exist, blocked by its reader, or not       |
    |                         |           | decryptable                                             |
    | uncertain               | scheduled | the policy `resend`, or the operator                    |
    | uncertain               | sent      | the operator, an audit against the mail server's log,   |
    |                         |           | a reply found in a stopped worker's journal             |
    | held                    | sent      | an audit against the mail server's log                  |
    | uncertain               | failed    | the operator, the writer who erases the letter          |
    | held, failed            | scheduled | the operator, or the writer who corrected the address   |
    | held                    | scheduled | the reader who undoes a block; a confirmation           |
    | scheduled, held, failed | cancelled | the writer, the operator                                |
    | scheduled, held         | cancelled | the reader: stopping the letter                         |
    | held                    | cancelled | the scan: not confirmed for two days                    |
    | scheduled               | held      | the writer who corrects an unconfirmed address          |
    |                         |           | or to one beyond its quota                              |
    | scheduled, held         | (gone)    | the writer whose unsealed letter is to come only once   |
    | cancelled               | scheduled | the reader who undoes the stop before it was due        |
    """

    SCHEDULED = "scheduled"
    CLAIMED = "claimed"
    SENT = "sent"
    UNCERTAIN = "uncertain"
    HELD = "held"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Occasion(StrEnum):
    FIRST = "first"
    SECOND = "second"
    RECEIPT = "receipt"
    REFUSAL = "refusal"
    CONFIRMATION = "confirmation"
    LINKS = "links"

    @property
    def is_notice(self) -> bool:
        """Whether this is about a letter; it is sent before letters, to the writer where their address is known."""
        return self not in (Occasion.FIRST, Occasion.SECOND)


class HeldReason(StrEnum):
    """Why a delivery is held."""

    OPERATOR = "operator"
    FIRST_REFUSED = "first_refused"
    OVERDUE = "overdue"
    UNDELIVERABLE = "undeliverable"
    UNREADABLE = "unreadable"
    BLOCKED = "blocked"
    UNCONFIRMED = "unconfirmed"
    QUOTA = "quota"


class AttemptResult(StrEnum):
    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    UNANSWERED = "unanswered"


def letter_status(first: Status, second: Status | None) -> Status:
    """Return one state for a whole letter: that of the delivery that is still to come.

    Once neither moves by itself any more, it is that of the last one sent, else of the first.
    """
    ended = (Status.SENT, Status.CANCELLED, Status.FAILED)
    if first not in ended or second is None:
        return first
    if second not in ended:
        return second
    return Status.SENT if Status.SENT in (first, second) else first


def shown(
    status: Status, held_reason: HeldReason | None, due_at: datetime, now: datetime
) -> tuple[Status, HeldReason | None]:
    """Return the state that a letter's links show. A hold for a quota is hidden until the delivery is due (P3):
    before, it would tell how many letters others posted to the address.
    """
    if held_reason is HeldReason.QUOTA and due_at > now:
        return Status.SCHEDULED, None
    return status, held_reason


class Action(StrEnum):
    """A transition that an operator decides on; `store.operator_actions` carries it out."""

    SEND_NOW = "send_now"
    HOLD = "hold"
    RELEASE = "release"
    REQUEUE = "requeue"
    TRUST = "trust"
    CANCEL = "cancel"
    RESEND = "resend"
    SETTLE_SENT = "settle_sent"
    SETTLE_FAILED = "settle_failed"

    @property
    def begins_at(self) -> frozenset[Status]:
        """The states from which it moves a delivery; in others it changes nothing."""
        return frozenset(_TRANSITIONS[self][0])

    @property
    def ends_at(self) -> Status:
        return _TRANSITIONS[self][1]


_TRANSITIONS = {
    Action.SEND_NOW: ((Status.SCHEDULED,), Status.SCHEDULED),
    Action.HOLD: ((Status.SCHEDULED,), Status.HELD),
    Action.RELEASE: ((Status.HELD,), Status.SCHEDULED),
    Action.REQUEUE: ((Status.FAILED,), Status.SCHEDULED),
    Action.TRUST: ((Status.FAILED,), Status.SCHEDULED),
    Action.CANCEL: ((Status.SCHEDULED, Status.HELD, Status.FAILED), Status.CANCELLED),
    Action.RESEND: ((Status.UNCERTAIN,), Status.SCHEDULED),
    Action.SETTLE_SENT: ((Status.UNCERTAIN,), Status.SENT),
    Action.SETTLE_FAILED: ((Status.UNCERTAIN,), Status.FAILED),
}


class Event(StrEnum):
    """Events of the activity log other than actions on deliveries."""

    SIGN_IN = "sign_in"
    REFUSED = "refused"
    SIGN_OUT = "sign_out"
    PAUSE = "pause"
    RESUME = "resume"
    EXPORT = "export"
    CORRECT = "correct"
    CREATE_ACCOUNT = "create_account"
    RESET_ACCOUNT = "reset_account"
    REMOVE_ACCOUNT = "remove_account"
    CHANGE_PASSWORD = "change_password"  # noqa: S105 - the name of a deed
    END_SESSIONS = "end_sessions"
    SECOND_FACTOR_ON = "second_factor_on"
    SECOND_FACTOR_OFF = "second_factor_off"
    RECOVERY_CODE = "recovery_code"
    RECONCILE = "reconcile"
    PURGE = "purge"
    ROTATE_KEYS = "rotate_keys"
