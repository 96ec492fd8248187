"""The tables of the admin pages: actions, pauses, second factors and alerts."""

from tortoise import fields
from tortoise.models import Model

from app.store.models import Account


class OperatorAction(Model):
    """Triggers refuse to change or delete a row."""

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
    """Triggers refuse to change or delete a row. No foreign key, so that deliveries may be deleted."""

    id = fields.BigIntField(primary_key=True, generated=True)
    delivery_id = fields.BigIntField()
    at = fields.DatetimeField()
    who = fields.CharField(128)
    action = fields.CharField(32)

    class Meta:
        table = "delivery_actions"


class BulkAction(Model):
    """An action on the deliveries in `chosen` (ids, JSON) or `selection` (a query), up to id `newest_id`."""

    id = fields.UUIDField(primary_key=True)
    action = fields.CharField(32)
    who = fields.CharField(128)
    client = fields.CharField(64, default="")
    selection = fields.TextField(default="")
    chosen = fields.TextField(default="")
    asked = fields.IntField()
    newest_id = fields.BigIntField(default=0)
    cursor = fields.CharField(64, default="")
    seen = fields.IntField(default=0)
    changed = fields.IntField(default=0)
    begun_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "bulk_actions"


class Pause(Model):
    """A row exists while sending is paused."""

    name = fields.CharField(16, primary_key=True)
    since = fields.DatetimeField()
    who = fields.CharField(128)

    class Meta:
        table = "pauses"


class SecondFactor(Model):
    """A TOTP secret (RFC 6238), once confirmed; codes up to time step `last_step` are not accepted again."""

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
    """Replaces the second factor, once."""

    code_hash = fields.CharField(64, primary_key=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "mailbox.Account", related_name="recovery_codes", on_delete=fields.CASCADE
    )
    account_id: int

    class Meta:
        table = "recovery_codes"


class RaisedAlert(Model):
    """`rang_at`: last seen firing; `over_at`: resolved; `told_at`: notified of the present state."""

    name = fields.CharField(32, primary_key=True)
    since = fields.DatetimeField()
    fired_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    notified_at = fields.DatetimeField(null=True)
    attempted_at = fields.DatetimeField(null=True)
    attempts = fields.IntField(default=0)

    class Meta:
        table = "raised_alerts"
