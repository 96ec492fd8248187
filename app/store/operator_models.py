"""The tables behind the postmaster's desk: what operators did, ask for and have stopped."""

from tortoise import fields
from tortoise.models import Model

from app.store.models import Account


class OperatorAction(Model):
    """What an operator did, and how many deliveries it changed. Triggers refuse to change or delete it."""

    id = fields.BigIntField(primary_key=True, generated=True)
    at = fields.DatetimeField()
    who = fields.CharField(128)
    client = fields.CharField(64, default="")
    action = fields.CharField(32)
    subject = fields.CharField(255, default="")
    asked = fields.IntField(null=True)
    changed = fields.IntField(null=True)

    class Meta:
        table = "operator_actions"


class DeliveryAction(Model):
    """What an operator did to one delivery. Triggers refuse to change or delete it.

    No foreign key: what is told for good binds nobody else.
    """

    id = fields.BigIntField(primary_key=True, generated=True)
    delivery_id = fields.BigIntField()
    at = fields.DatetimeField()
    who = fields.CharField(128)
    action = fields.CharField(32)

    class Meta:
        table = "delivery_actions"


class BulkAction(Model):
    """Something to be done to many deliveries, a batch at a time; its id comes with the form that asks for it.

    Either `chosen` names their ids, as JSON, or `selection` is the query that finds them. `place`
    is how far it has come, `seen` how many that were; none with an id above `newest_id` is meant.
    """

    id = fields.UUIDField(primary_key=True)
    action = fields.CharField(32)
    who = fields.CharField(128)
    client = fields.CharField(64, default="")
    selection = fields.TextField(default="")
    chosen = fields.TextField(default="")
    asked = fields.IntField()
    newest_id = fields.BigIntField(default=0)
    place = fields.CharField(64, default="")
    seen = fields.IntField(default=0)
    changed = fields.IntField(default=0)
    begun_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "bulk_actions"


class Pause(Model):
    """Something that operators have stopped for a while; the row is gone when it goes on."""

    name = fields.CharField(16, primary_key=True)
    since = fields.DatetimeField()
    who = fields.CharField(128)

    class Meta:
        table = "pauses"


class SecondFactor(Model):
    """What an account's authenticator knows (RFC 6238); the row exists once a code has confirmed it.

    `last_step` is the time step of the newest code that was used: none is used twice. `enrolment`
    tells this secret from those that the account had before.
    """

    id = fields.BigIntField(primary_key=True, generated=True)
    account: fields.OneToOneRelation[Account] = fields.OneToOneField(
        "mailbox.Account", related_name="second_factor", on_delete=fields.CASCADE
    )
    account_id: int
    enrolment = fields.UUIDField(null=True)
    secret_sealed = fields.BinaryField()
    confirmed_at = fields.DatetimeField(null=True)
    last_step = fields.BigIntField(default=0)

    class Meta:
        table = "second_factors"


class RecoveryCode(Model):
    """A code that stands in for the second factor, once."""

    code_hash = fields.CharField(64, primary_key=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "mailbox.Account", related_name="recovery_codes", on_delete=fields.CASCADE
    )
    account_id: int

    class Meta:
        table = "recovery_codes"


class RaisedAlert(Model):
    """An alert that fires, or has ended and the operator is not yet told.

    `fired_at` is when it last fired, `ended_at` since when it is over. `notified_at` is when the mail about
    the present state was sent; `attempts` counts the tries to send it, the last at `attempted_at`.
    """

    name = fields.CharField(32, primary_key=True)
    since = fields.DatetimeField()
    fired_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    notified_at = fields.DatetimeField(null=True)
    attempted_at = fields.DatetimeField(null=True)
    attempts = fields.IntField(default=0)

    class Meta:
        table = "raised_alerts"
