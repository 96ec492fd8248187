"""What an operator may do with deliveries, and in which states."""

from enum import StrEnum

from app.domain.status import Status


class Action(StrEnum):
    """One edge of the ledger that an operator decides on; `store.edges` carries it out."""

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
        """The states from which it leads on; in any other it changes nothing."""
        return frozenset(_EDGES[self][0])

    @property
    def ends_at(self) -> Status:
        """The state it leads to."""
        return _EDGES[self][1]


_EDGES = {
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


class Deed(StrEnum):
    """What the trail tells of beside actions on deliveries."""

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
