"""What is held is found by its reason, too."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0015_renewed_receipts")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        RunSQL(
            "CREATE INDEX deliveries_held_for ON deliveries (held_reason, occasion, due_at, id) WHERE status = 'held'"
        ),
    ]
