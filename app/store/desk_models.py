"""The tables behind the postmaster's desk: what operators did, ask for and have stopped."""

from tortoise import fields
from tortoise.models import Model


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
    is how far it has come, `seen` how many that were.
    """

    id = fields.UUIDField(primary_key=True)
    action = fields.CharField(32)
    who = fields.CharField(128)
    client = fields.CharField(64, default="")
    selection = fields.TextField(default="")
    chosen = fields.TextField(default="")
    asked = fields.IntField()
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
